// Package link gives every network interface of the appliance its addresses and
// routes: an IPv4 address from a DHCP server, or one of its own where there is no
// server (RFC 3927); IPv6 is the kernel's.
//
// A machine decides for one interface. It is told of carrier, packets and time, and
// says what to send and what the interface shall have; it knows no socket, so that
// every standard case and every hostile packet can be tried in no time. A Manager
// has one machine for each interface that comes, carries out what they want, and
// writes resolv.conf and the status.
//
// Of the libraries, github.com/insomniacslk/dhcp has the messages of DHCP and their
// UDP frames: it is kept, it knows option 121, and its package of messages stands
// for itself, where the one that gokrazy uses (rtr7/dhcp4) brings all protocols of
// gopacket along: 4 MB more of a program. Netlink is vishvananda/netlink, which
// gokrazy's init has already; its blocking subscription cannot be ended, so the
// socket for that is of mdlayher/socket, like the packet sockets (mdlayher/packet).
// Router advertisements are parsed by mdlayher/ndp. ARP for IPv4 over Ethernet has
// one layout of 28 bytes: that is here.
package link
