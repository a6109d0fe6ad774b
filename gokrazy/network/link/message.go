package link

import (
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// newExchange is for a question that answers to earlier ones do not fit.
func (m *machine) newExchange(now time.Time) {
	m.client.began = now
	for i := range m.client.xid {
		m.client.xid[i] = byte(m.rand.Uint32())
	}
}

// message is one to a server, with what this client wants to know.
func (m *machine) message(now time.Time, kind dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	d := m.bare(now, kind)
	if m.hostname != "" {
		d.UpdateOption(dhcpv4.OptHostName(m.hostname))
	}
	d.UpdateOption(dhcpv4.OptMaxMessageSize(maxMessage))
	d.UpdateOption(dhcpv4.OptParameterRequestList(
		dhcpv4.OptionClasslessStaticRoute, // in front of the routers (RFC 3442)
		dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter,
		dhcpv4.OptionDomainNameServer, dhcpv4.OptionDomainName, dhcpv4.OptionNTPServers,
		dhcpv4.OptionIPAddressLeaseTime, dhcpv4.OptionRenewTimeValue, dhcpv4.OptionRebindingTimeValue))
	return d
}

// bare is a message of the exchange that goes on.
func (m *machine) bare(now time.Time, kind dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	d := &dhcpv4.DHCPv4{
		OpCode:        dhcpv4.OpcodeBootRequest,
		HWType:        iana.HWTypeEthernet,
		TransactionID: m.client.xid,
		NumSeconds:    uint16(min(max(now.Sub(m.client.began)/time.Second, 0), 0xffff)),
		ClientHWAddr:  m.hw[:],
		Options:       make(dhcpv4.Options),
	}
	d.UpdateOption(dhcpv4.OptMessageType(kind))
	// The same as gokrazy's client had, so that servers know this computer.
	d.UpdateOption(dhcpv4.OptClientIdentifier(append([]byte{byte(iana.HWTypeEthernet)}, m.hw[:]...)))
	return d
}

func (m *machine) send(now time.Time, kind dhcpv4.MessageType, options ...dhcpv4.Option) {
	d := m.message(now, kind)
	for _, o := range options {
		d.UpdateOption(o)
	}
	m.out.broadcast(d)
}
