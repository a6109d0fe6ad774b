package pusher

import (
	"encoding/binary"
	"fmt"
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offsets into struct tcp_info, <linux/tcp.h>. New kernels only append to it, and
// getsockopt returns how much the kernel has filled in. tcpiDelivered is there since
// Linux 4.18.
const (
	tcpiState     = 0
	tcpiMSS       = 16
	tcpiUnacked   = 24
	tcpiSacked    = 28
	tcpiLastAck   = 56  // ms
	tcpiRetrans   = 100 // all of them, since the beginning
	tcpiAcked     = 120 // 64 bits
	tcpiUnsent    = 144
	tcpiMinRTT    = 148 // µs
	tcpiDelivered = 192
	tcpiSize      = tcpiDelivered + 4 // what the gate reads
	tcpiSent      = 200               // 64 bits, retransmissions included
	tcpiResent    = 208               // 64 bits
	tcpiWindow    = 228               // since Linux 5.4

	tcpClose     = 7 // TCP_CLOSE, <net/tcp_states.h>
	tcpCloseWait = 8 // TCP_CLOSE_WAIT
)

// socket reads and tunes a TCP or unix socket. It uses the descriptor through RawConn,
// because net.TCPConn's File would make a copy that is not in Go's poller.
type socket struct {
	conn syscall.RawConn

	// RawConn.Control takes a function. These are made once, so that no call allocates.
	// Their arguments and results are in the fields below.
	readFD, paceFD, writeFD func(fd uintptr)

	raw  [256]byte
	info tcpInfo
	err  error
	// neverLeft is how many bytes the kernel has counted as sent that its own queue refused.
	// It counts a segment before it gives it there (__tcp_transmit_skb in tcp_output.c), and
	// once more when it sends it later.
	neverLeft uint64
	rate      uint32
	iov       [3]unix.Iovec // for writeFD
	n         int           // bytes that it wrote
}

func newSocket(c net.Conn) (*socket, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%T has no descriptor", c)
	}
	conn, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{conn: conn}
	s.writeFD = s.writev
	if _, ok := c.(*net.TCPConn); !ok {
		s.readFD, s.paceFD = s.readQueue, func(uintptr) {}
		return s, nil
	}
	s.readFD, s.paceFD = s.readTCPInfo, s.setPace
	return s, nil
}

// read fills ti.
func (s *socket) read(ti *tcpInfo) error {
	if err := s.conn.Control(s.readFD); err != nil {
		return err
	}
	*ti = s.info
	return s.err
}

// pace sets the pacing rate in bytes per second. It ignores errors, because a frame that
// is not paced is at worst late.
func (s *socket) pace(rate uint32) {
	s.rate = rate
	_ = s.conn.Control(s.paceFD)
}

// write writes what the kernel takes of bufs without waiting, and returns how many bytes
// that was.
func (s *socket) write(bufs *[3][]byte) int {
	for i, b := range bufs {
		s.iov[i].Base = unsafe.SliceData(b)
		s.iov[i].SetLen(len(b))
	}
	s.n = 0
	_ = s.conn.Control(s.writeFD)
	clear(s.iov[:]) // do not keep the frame's memory
	return s.n
}

// useBBR changes to BBR, which does not take a lost segment for a full link, if the
// kernel has it and lets this user choose it.
func (s *socket) useBBR() {
	_ = s.conn.Control(func(fd uintptr) {
		_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "bbr")
	})
}

// giveUpAfter bounds how long the kernel tries to send what its peer does not acknowledge,
// also when the connection is closed; 0 leaves that to the kernel, which takes a quarter of
// an hour.
//
// It must not be set while frames go there. The kernel counts this time from
// when the peer's window has become 0, and goes on counting although the window opens, if
// it does not open for all of the next unsent segment (tcp_ack_probe). So it would end
// the connection of a peer that reads, but little at a time.
func (s *socket) giveUpAfter(d time.Duration) {
	_ = s.conn.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}

// resetOnClose makes the close of the connection a reset.
func (s *socket) resetOnClose() {
	_ = s.conn.Control(func(fd uintptr) {
		_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	})
}

func (s *socket) readTCPInfo(fd uintptr) {
	size := uint32(len(s.raw))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&s.raw)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		s.err = fmt.Errorf("read TCP_INFO: %w", errno)
		return
	}
	s.info, s.err = parseTCPInfo(s.raw[:min(int(size), len(s.raw))]), nil
	if s.info.Unacked == 0 { // so all that was sent is acknowledged
		s.neverLeft = s.info.Sent - s.info.Acked
	}
	s.info.Sent -= s.neverLeft
}

// readQueue is for sockets without TCP_INFO. What the peer has not read yet counts as
// unsent.
func (s *socket) readQueue(fd uintptr) {
	n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	s.info, s.err = tcpInfo{Unsent: uint32(n)}, err
}

// setPace passes the rate as 32 bits, which 32-bit and 64-bit kernels take alike.
func (s *socket) setPace(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, int(s.rate))
}

func (s *socket) writev(fd uintptr) {
	n, _, errno := unix.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&s.iov)), uintptr(len(s.iov)))
	if errno == 0 {
		s.n = int(n)
	}
}

// parseTCPInfo reads b, which is what the kernel has filled in of struct tcp_info.
func parseTCPInfo(b []byte) tcpInfo {
	u32 := func(offset int) uint32 { return binary.NativeEndian.Uint32(b[offset:]) }
	micros := func(offset int) time.Duration { return time.Duration(u32(offset)) * time.Microsecond }
	var ti tcpInfo
	if len(b) > tcpiState {
		ti.Closed = b[tcpiState] == tcpClose
		ti.PeerClosed = ti.Closed || b[tcpiState] == tcpCloseWait
	}
	if len(b) >= tcpiUnsent+4 { // since Linux 4.6
		ti.Unsent = u32(tcpiUnsent)
	}
	if len(b) >= tcpiSize {
		ti.Full = true
		ti.MSS, ti.Unacked, ti.Sacked = u32(tcpiMSS), u32(tcpiUnacked), u32(tcpiSacked)
		ti.Delivered, ti.Retransmitted = u32(tcpiDelivered), u32(tcpiRetrans)
		ti.MinRTT = micros(tcpiMinRTT)
	}
	if len(b) >= tcpiWindow+4 {
		u64 := func(offset int) uint64 { return binary.NativeEndian.Uint64(b[offset:]) }
		ti.Peer = true
		ti.Window, ti.Acked, ti.Sent = u32(tcpiWindow), u64(tcpiAcked), u64(tcpiSent)-u64(tcpiResent)
		ti.LastAck = time.Duration(u32(tcpiLastAck)) * time.Millisecond
	}
	return ti
}
