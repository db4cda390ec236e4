//! The library peer: datagrams from one `fake_tcp::Stack` to another, as fast as they go.
//!
//! ```text
//! fake-tcp-crate-peer send --tun-local IP --tun-peer IP --remote IP:PORT [--size BYTES] [--seconds S] [--tun NAME]
//! fake-tcp-crate-peer recv --tun-local IP --tun-peer IP --port PORT [--seconds S] [--tun NAME]
//! ```
//!
//! Like the crate's own programs it opens one TUN queue per CPU. Datagrams begin with the 8 bytes of bench/load/datagram.ts.
//! Either mode prints one JSON line at its end. The receiver takes the first connection and ends with it, on SIGTERM, or
//! after `--seconds`; it writes `ready` to stderr once it listens.

use fake_tcp::{Socket, Stack};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio_tun::TunBuilder;

const MAX_SECONDS: f64 = 120.0;
/// Datagrams between two looks at the clock.
const CLOCK_EVERY: u32 = 16;
/// What is still queued reaches the receiver before the RST of the closing socket does.
const DRAIN: Duration = Duration::from_millis(300);

type Options = HashMap<String, String>;

fn option<T: FromStr>(options: &Options, name: &str, default: Option<T>) -> T {
    match options.get(name) {
        Some(value) => value.parse().ok().unwrap_or_else(|| panic!("bad value for --{name}: {value}")),
        None => default.unwrap_or_else(|| panic!("--{name} is missing")),
    }
}

fn open(options: &Options) -> Stack {
    let peer: Ipv4Addr = option(options, "tun-peer", None);
    let tun = TunBuilder::new()
        .name(&option(options, "tun", Some(String::new())))
        .up()
        .address(option(options, "tun-local", None))
        .destination(peer)
        .queues(std::thread::available_parallelism().unwrap().get())
        .build()
        .expect("cannot open TUN");
    Stack::new(tun, peer, None)
}

/// User and system time of this process in seconds (proc_pid_stat(5), 100 ticks a second on Linux).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn stamp(datagram: &mut [u8], sequence: u32) {
    let tag = ((sequence ^ (sequence >> 16) ^ 0x9e37) & 0xffff) as u16;
    datagram[0..2].fill(0);
    datagram[2..4].copy_from_slice(&tag.to_be_bytes());
    datagram[4..8].copy_from_slice(&sequence.to_be_bytes());
}

async fn send(options: Options) {
    let remote: SocketAddr = option(&options, "remote", None);
    let size: usize = option(&options, "size", Some(1400));
    let seconds: f64 = option(&options, "seconds", Some(5.0));
    assert!((8..=1460).contains(&size) && seconds > 0.0 && seconds <= MAX_SECONDS, "size or seconds out of range");
    let mut stack = open(&options);
    let socket = stack.connect(remote).await.expect("cannot connect");
    let mut datagram: Vec<u8> = (0..size).map(|i| (i * 7) as u8).collect();

    let start = Instant::now();
    let mut sequence: u32 = 0;
    while sequence % CLOCK_EVERY != 0 || start.elapsed().as_secs_f64() < seconds {
        stamp(&mut datagram, sequence);
        if socket.send(&datagram).await.is_none() {
            break;
        }
        sequence += 1;
    }
    let took = start.elapsed().as_secs_f64();
    println!(
        "{{\"datagrams\":{sequence},\"bytes\":{},\"seconds\":{took:.6},\"cpuSeconds\":{:.3}}}",
        sequence as u64 * size as u64,
        cpu_seconds()
    );
    tokio::time::sleep(DRAIN).await;
}

#[derive(Default)]
struct Count {
    datagrams: u64,
    bytes: u64,
    corrupted: u64,
    reordered: u64,
    /// One more than the highest sequence number seen.
    next: u32,
    first: Option<Instant>,
    last: Option<Instant>,
    /// Datagrams of each second since the first one.
    per_second: Vec<u64>,
}

impl Count {
    fn add(&mut self, datagram: &[u8]) {
        let now = Instant::now();
        let first = *self.first.get_or_insert(now);
        self.last = Some(now);
        let second = (now - first).as_secs() as usize;
        if self.per_second.len() <= second {
            self.per_second.resize(second + 1, 0);
        }
        self.per_second[second] += 1;
        self.datagrams += 1;
        self.bytes += datagram.len() as u64;
        let mut expected = [0u8; 8];
        if datagram.len() < 8 {
            self.corrupted += 1;
            return;
        }
        let sequence = u32::from_be_bytes(datagram[4..8].try_into().unwrap());
        stamp(&mut expected, sequence);
        if datagram[..8] != expected {
            self.corrupted += 1;
        } else if sequence < self.next {
            self.reordered += 1;
        } else {
            self.next = sequence + 1;
        }
    }

    fn print(&self) {
        let seconds = match (self.first, self.last) {
            (Some(first), Some(last)) => (last - first).as_secs_f64(),
            _ => 0.0,
        };
        println!(
            "{{\"datagrams\":{},\"bytes\":{},\"seconds\":{seconds:.6},\"lost\":{},\"reordered\":{},\"corrupted\":{},\
             \"perSecond\":{:?},\"cpuSeconds\":{:.3}}}",
            self.datagrams,
            self.bytes,
            (self.next as u64).saturating_sub(self.datagrams),
            self.reordered,
            self.corrupted,
            self.per_second,
            cpu_seconds()
        );
    }
}

async fn count(socket: Socket, count: &mut Count) {
    let mut buffer = vec![0u8; 65536];
    while let Some(length) = socket.recv(&mut buffer).await {
        count.add(&buffer[..length]);
    }
}

async fn receive(options: Options) {
    let seconds: f64 = option(&options, "seconds", Some(10.0));
    assert!(seconds > 0.0 && seconds <= MAX_SECONDS, "seconds out of range");
    let mut stack = open(&options);
    stack.listen(option(&options, "port", None));
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let mut total = Count::default();
    eprintln!("ready");
    tokio::select! {
        _ = async { count(stack.accept().await, &mut total).await } => {}
        _ = terminate.recv() => {}
        _ = tokio::time::sleep(Duration::from_secs_f64(seconds)) => {}
    }
    total.print();
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let options: Options = rest
        .chunks(2)
        .map(|pair| match pair {
            [name, value] if name.starts_with("--") => (name[2..].to_owned(), value.to_owned()),
            _ => panic!("expected pairs of --option value"),
        })
        .collect();
    // On a worker thread: the main thread's `block_on` would pay for a wake-up through another one.
    match mode.as_str() {
        "send" => tokio::spawn(send(options)).await.unwrap(),
        "recv" => tokio::spawn(receive(options)).await.unwrap(),
        _ => panic!("usage: fake-tcp-crate-peer send|recv --tun-local IP --tun-peer IP …"),
    }
}
