module fake-tcp/bench/tcpraw-peer

go 1.22

require github.com/xtaci/tcpraw v1.2.31

require (
	github.com/coreos/go-iptables v0.7.0 // indirect
	github.com/google/gopacket v1.1.19 // indirect
)
