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
// UDP frames: it is kept, and reads every option that is wanted here, where the one of
// gokrazy's client (rtr7/dhcp4) takes two routers for one address of eight bytes and
// knows no option 121. Netlink is vishvananda/netlink, which gokrazy's init has
// already; its subscription cannot be ended, so the socket for that is of
// mdlayher/socket, like the packet sockets (mdlayher/packet). Router advertisements are
// parsed by mdlayher/ndp. ARP for IPv4 over Ethernet has one layout of 28 bytes: that is
// here. The program has 6.9 MB (2.7 MB compressed, where gokrazy's client had 4.1 and
// 1.5), of which most is HTTP for the status, and is 9 MB in memory, 1.5 of them its own.
package link
