//! The library peer: datagrams from one `fake_tcp::Stack` to another, as fast as they go.
//!
//! ```text
//! fake-tcp-crate-peer send --tun-local IP --tun-peer IP --remote IP:PORT [--size BYTES] [--flows N] [--seconds S] [--tun NAME]
//! fake-tcp-crate-peer recv --tun-local IP --tun-peer IP --port PORT [--seconds S] [--tun NAME]
//! fake-tcp-crate-peer close --tun-local IP --tun-peer IP --remote IP:PORT [--flows N] [--seconds S] [--tun NAME]
//! ```
//!
//! Like the crate's own programs it opens one TUN queue per CPU. Datagrams begin with the 8 bytes of
//! bench/load/datagram.ts. The sender gives each connection `RUN` datagrams before it goes on to the next, as our
//! library's sender does.
//!
//! Each mode prints one JSON line at its end: the sender after `--seconds`, the receiver on SIGTERM or after
//! `--seconds`. The receiver writes `ready` to stderr once it listens, the others `started` once all connections are
//! open. `close` sends one datagram on each connection, closes them one after the other, spread over `--seconds`, and
//! prints when: milliseconds of Unix time.

use fake_tcp::{Socket, Stack};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};
use tokio_tun::TunBuilder;

const MAX_SECONDS: f64 = 120.0;
const TRIES: u32 = 3;
/// Datagrams on one connection before the next one's turn, and between two looks at the clock: 64 KiB of 1,400 bytes.
const RUN: usize = 46;
/// In this time what is still queued reaches the receiver, before the RST of the closing socket does.
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

/// Peak resident memory in MB.
fn memory_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1000.0
}

fn stamp(datagram: &mut [u8], flow: u16, sequence: u32) {
    let tag = (sequence ^ (sequence >> 16) ^ flow as u32 ^ 0x9e37) as u16;
    datagram[0..2].copy_from_slice(&flow.to_be_bytes());
    datagram[2..4].copy_from_slice(&tag.to_be_bytes());
    datagram[4..8].copy_from_slice(&sequence.to_be_bytes());
}

/// The crate gives up on some of thousands of attempts. Another port works.
async fn connect(stack: &mut Stack, remote: SocketAddr) -> Socket {
    for _ in 0..TRIES {
        if let Some(socket) = stack.connect(remote).await {
            return socket;
        }
    }
    panic!("cannot connect");
}

async fn send(options: Options) {
    let remote: SocketAddr = option(&options, "remote", None);
    let size: usize = option(&options, "size", Some(1400));
    let seconds: f64 = option(&options, "seconds", Some(5.0));
    assert!((8..=1460).contains(&size) && seconds > 0.0 && seconds <= MAX_SECONDS, "size or seconds out of range");
    let flows: usize = option(&options, "flows", Some(1));
    let mut stack = open(&options);
    let mut sockets = Vec::new();
    for _ in 0..flows {
        sockets.push(connect(&mut stack, remote).await);
    }
    let mut sequences = vec![0u32; flows];
    let mut datagram: Vec<u8> = (0..size).map(|i| (i * 7) as u8).collect();

    eprintln!("started");
    let (start, start_cpu) = (Instant::now(), cpu_seconds());
    let mut sent: u64 = 0;
    let mut flow = 0;
    'all: while start.elapsed().as_secs_f64() < seconds {
        for _ in 0..RUN {
            stamp(&mut datagram, flow as u16, sequences[flow]);
            if sockets[flow].send(&datagram).await.is_none() {
                break 'all;
            }
            sequences[flow] += 1;
            sent += 1;
        }
        flow = (flow + 1) % flows;
    }
    let took = start.elapsed().as_secs_f64();
    println!(
        "{{\"datagrams\":{sent},\"bytes\":{},\"seconds\":{took:.6},\"cpuSeconds\":{:.3},\"memoryMB\":{:.1}}}",
        sent * size as u64,
        cpu_seconds() - start_cpu,
        memory_mb()
    );
    tokio::time::sleep(DRAIN).await;
    // The crate's purge channel has room for 16 sockets: dropping more at once panics one of its readers. Nothing is
    // left to measure, so the process ends here.
    std::process::exit(0);
}

/// For this time the crate must answer what the other end asks about a connection that was closed.
const LINGER: Duration = Duration::from_secs(2);
/// The crate's purge channel has room for 16 sockets: closing more at once panics one of its readers.
const MOST_CLOSES: usize = 16;

const BETWEEN: Duration = Duration::from_millis(50);

async fn close(options: Options) {
    let remote: SocketAddr = option(&options, "remote", None);
    let seconds: f64 = option(&options, "seconds", Some(5.0));
    let flows: usize = option(&options, "flows", Some(1));
    assert!((1..=MOST_CLOSES).contains(&flows) && seconds > 0.0 && seconds <= MAX_SECONDS, "flows or seconds out of range");
    let mut stack = open(&options);
    let mut sockets = Vec::new();
    for _ in 0..flows {
        let socket = connect(&mut stack, remote).await;
        socket.send(b"hello").await.expect("closed early");
        // The pause makes the other end get them in this order.
        tokio::time::sleep(BETWEEN).await;
        sockets.push(socket);
    }
    eprintln!("started");
    let mut closed = Vec::new();
    for socket in sockets {
        tokio::time::sleep(Duration::from_secs_f64(seconds / flows as f64)).await;
        closed.push(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().to_string());
        drop(socket);
    }
    tokio::time::sleep(LINGER).await;
    println!("{{\"closedAt\":[{}]}}", closed.join(","));
    std::process::exit(0);
}

/// What arrived on one connection.
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
}

impl Count {
    fn add(&mut self, datagram: &[u8]) {
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.last = Some(now);
        self.datagrams += 1;
        self.bytes += datagram.len() as u64;
        let mut expected = [0u8; 8];
        if datagram.len() < 8 {
            self.corrupted += 1;
            return;
        }
        let flow = u16::from_be_bytes(datagram[0..2].try_into().unwrap());
        let sequence = u32::from_be_bytes(datagram[4..8].try_into().unwrap());
        stamp(&mut expected, flow, sequence);
        if datagram[..8] != expected {
            self.corrupted += 1;
        } else if sequence < self.next {
            self.reordered += 1;
        } else {
            self.next = sequence + 1;
        }
    }
}

fn print(counts: &[Arc<Mutex<Count>>]) {
    let counts: Vec<_> = counts.iter().map(|count| count.lock().unwrap()).collect();
    let sum = |figure: fn(&Count) -> u64| counts.iter().map(|count| figure(count)).sum::<u64>();
    let first = counts.iter().filter_map(|count| count.first).min();
    let last = counts.iter().filter_map(|count| count.last).max();
    let seconds = first.zip(last).map_or(0.0, |(first, last)| (last - first).as_secs_f64());
    println!(
        "{{\"datagrams\":{},\"bytes\":{},\"seconds\":{seconds:.6},\"lost\":{},\"reordered\":{},\"corrupted\":{},\
         \"flows\":{},\"memoryMB\":{:.1}}}",
        sum(|count| count.datagrams),
        sum(|count| count.bytes),
        sum(|count| (count.next as u64).saturating_sub(count.datagrams)),
        sum(|count| count.reordered),
        sum(|count| count.corrupted),
        sum(|count| (count.datagrams > 0) as u64),
        memory_mb()
    );
}

async fn count(socket: Socket, count: Arc<Mutex<Count>>) {
    let mut buffer = vec![0u8; 65536];
    while let Some(length) = socket.recv(&mut buffer).await {
        count.lock().unwrap().add(&buffer[..length]);
    }
}

async fn receive(options: Options) {
    let seconds: f64 = option(&options, "seconds", Some(10.0));
    assert!(seconds > 0.0 && seconds <= MAX_SECONDS, "seconds out of range");
    let mut stack = open(&options);
    stack.listen(option(&options, "port", None));
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let mut counts = Vec::new();
    eprintln!("ready");
    let accept = async {
        loop {
            let socket = stack.accept().await;
            let counter = Arc::new(Mutex::new(Count::default()));
            counts.push(counter.clone());
            tokio::spawn(count(socket, counter));
        }
    };
    tokio::select! {
        () = accept => {}
        _ = terminate.recv() => {}
        _ = tokio::time::sleep(Duration::from_secs_f64(seconds)) => {}
    }
    print(&counts);
    std::process::exit(0);
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
    // Runs on a worker thread: `block_on` of the main thread would be woken through another one each time.
    match mode.as_str() {
        "send" => tokio::spawn(send(options)).await.unwrap(),
        "close" => tokio::spawn(close(options)).await.unwrap(),
        "recv" => tokio::spawn(receive(options)).await.unwrap(),
        _ => panic!("usage: fake-tcp-crate-peer send|recv|close --tun-local IP --tun-peer IP …"),
    }
}
