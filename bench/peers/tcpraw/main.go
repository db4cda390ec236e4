// The Go library peer: datagrams from one tcpraw connection to another, as fast as they go.
//
//     tcpraw-peer send --remote IP:PORT [--size BYTES] [--seconds S]
//     tcpraw-peer recv --listen IP:PORT [--seconds S]
//
// tcpraw hides behind a real connection of the kernel, and sends and captures packets through raw sockets. It needs no
// TUN, but somebody must drop the kernel's own packets on that connection (TTL 1). Datagrams begin with the 8 bytes of
// bench/load/datagram.ts. The receiver writes `ready` to stderr once it listens, and ends on SIGTERM or after
// --seconds. The sender writes `started` once it is connected. Either prints one JSON line.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/xtaci/tcpraw"
)

const (
	header     = 8
	maxSeconds = 120.0
	// Datagrams between two looks at the clock.
	run = 46
	// Raw sockets get this buffer, as far as the kernel allows. The default holds a millisecond of traffic.
	buffer = 8 << 20
)

func fail(what string, err error) {
	fmt.Fprintf(os.Stderr, "tcpraw-peer: %s: %v\n", what, err)
	os.Exit(1)
}

func tagOf(sequence uint32) uint16 { return uint16(sequence ^ sequence>>16 ^ 0x9e37) }

func stamp(datagram []byte, sequence uint32) {
	binary.BigEndian.PutUint16(datagram[2:], tagOf(sequence))
	binary.BigEndian.PutUint32(datagram[4:], sequence)
}

func seconds(time syscall.Timeval) float64 { return float64(time.Sec) + float64(time.Usec)/1e6 }

// CPU time in seconds, and peak resident memory in MB.
func usage() (float64, float64) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		fail("getrusage", err)
	}
	return seconds(u.Utime) + seconds(u.Stime), float64(u.Maxrss) / 1000
}

func send(remote string, size int, limit float64) {
	address, err := net.ResolveTCPAddr("tcp", remote)
	if err != nil {
		fail("--remote", err)
	}
	conn, err := tcpraw.Dial("tcp", remote)
	if err != nil {
		fail("dial", err)
	}
	_ = conn.SetWriteBuffer(buffer)
	// A goroutine may still have to capture the packets of the handshake, from which tcpraw takes its sequence numbers.
	time.Sleep(200 * time.Millisecond)
	datagram := make([]byte, size)
	for i := header; i < size; i++ {
		datagram[i] = byte(i * 7)
	}
	fmt.Fprintln(os.Stderr, "started")
	startCPU, _ := usage()
	start := time.Now()
	var sequence uint32
	for time.Since(start).Seconds() < limit {
		for i := 0; i < run; i++ {
			stamp(datagram, sequence)
			if _, err := conn.WriteTo(datagram, address); err != nil {
				fail("write", err)
			}
			sequence++
		}
	}
	took := time.Since(start).Seconds()
	cpu, memory := usage()
	fmt.Printf("{\"datagrams\":%d,\"bytes\":%d,\"seconds\":%.6f,\"cpuSeconds\":%.3f,\"memoryMB\":%.1f}\n",
		sequence, int(sequence)*size, took, cpu-startCPU, memory)
	time.Sleep(300 * time.Millisecond)
}

type tally struct {
	sync.Mutex
	datagrams, bytes, corrupted, reordered int
	next                                   uint32
	first, last                            time.Time
}

func (t *tally) add(datagram []byte) {
	t.Lock()
	defer t.Unlock()
	t.last = time.Now()
	if t.datagrams == 0 {
		t.first = t.last
	}
	t.datagrams++
	t.bytes += len(datagram)
	if len(datagram) < header {
		t.corrupted++
		return
	}
	sequence := binary.BigEndian.Uint32(datagram[4:])
	switch {
	case binary.BigEndian.Uint16(datagram[2:]) != tagOf(sequence):
		t.corrupted++
	case sequence < t.next:
		t.reordered++
	default:
		t.next = sequence + 1
	}
}

func receive(listen string, limit float64) {
	conn, err := tcpraw.Listen("tcp", listen)
	if err != nil {
		fail("listen", err)
	}
	_ = conn.SetReadBuffer(buffer)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	var total tally
	go func() {
		room := make([]byte, 65536)
		for {
			n, _, err := conn.ReadFrom(room)
			if err != nil {
				return
			}
			total.add(room[:n])
		}
	}()
	fmt.Fprintln(os.Stderr, "ready")
	select {
	case <-stop:
	case <-time.After(time.Duration(limit * float64(time.Second))):
	}
	_, memory := usage()
	total.Lock()
	fmt.Printf("{\"datagrams\":%d,\"bytes\":%d,\"seconds\":%.6f,\"reordered\":%d,\"corrupted\":%d,\"memoryMB\":%.1f}\n",
		total.datagrams, total.bytes, total.last.Sub(total.first).Seconds(), total.reordered, total.corrupted,
		memory)
}

func main() {
	if len(os.Args) < 2 {
		fail("usage", fmt.Errorf("tcpraw-peer send|recv --remote|--listen IP:PORT"))
	}
	options := flag.NewFlagSet("tcpraw-peer", flag.ExitOnError)
	remote := options.String("remote", "", "IP:PORT to send to")
	listen := options.String("listen", "", "IP:PORT to receive on")
	size := options.Int("size", 1400, "bytes per datagram")
	limit := options.Float64("seconds", 5, "how long")
	_ = options.Parse(os.Args[2:])
	if *limit <= 0 || *limit > maxSeconds || *size < header || *size > 1460 {
		fail("options", fmt.Errorf("--seconds or --size out of range"))
	}
	switch os.Args[1] {
	case "send":
		send(*remote, *size, *limit)
	case "recv":
		receive(*listen, *limit)
	default:
		fail("usage", fmt.Errorf("unknown mode %s", os.Args[1]))
	}
}
