//! Reads at a fixed rate, timed from when each was due: a server that stalls is not excused. Requests are written and answers read byte by
//! byte on connections that stay open, so that the client costs little of the cores that it shares with the server.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::installation::Installation;
use crate::load::RECORDS;
use crate::report::{Figure, Samples};
use crate::{Outcome, say};

pub(crate) const FIGURES: &[&str] = &[
    "read_half_p50_ms",
    "read_half_p95_ms",
    "read_half_p99_ms",
    "read_four_fifths_p50_ms",
    "read_four_fifths_p95_ms",
    "read_four_fifths_p99_ms",
];

const CONNECTIONS: u32 = 64;
const TIME: Duration = Duration::from_secs(15);

/// Latencies at a half and at four fifths of the most that closed loops reached.
pub(crate) async fn measure(installation: &Installation, most: f64) -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    for (share, [p50, p95, p99]) in [
        (0.5, [FIGURES[0], FIGURES[1], FIGURES[2]]),
        (0.8, [FIGURES[3], FIGURES[4], FIGURES[5]]),
    ] {
        let rate = most * share;
        say(format!("Read at {rate:.0} a second"));
        let latencies = reads(installation, rate, CONNECTIONS, TIME).await?;
        figures.extend([
            latencies.at(50, p50, "ms").with_number("offered_rps", rate),
            latencies
                .at(95, p95, "ms")
                .with_number("offered_rps", rate)
                .with("aim", 10),
            latencies.at(99, p99, "ms").with_number("offered_rps", rate),
        ]);
    }
    Ok(figures)
}

/// Reads of all records at `rate` a second for `time`; latencies in milliseconds.
pub(crate) async fn reads(
    installation: &Installation,
    rate: f64,
    connections: u32,
    time: Duration,
) -> Outcome<Samples> {
    let address = socket_address(installation)?;
    let token = installation.token()?;
    let between = Duration::from_secs_f64(f64::from(connections) / rate);
    let start = Instant::now() + Duration::from_millis(50);
    let mut clients = JoinSet::new();
    for number in 0..connections {
        let requests = (0..RECORDS)
            .map(|record| read_request((record + number * 499) % RECORDS, &token))
            .collect();
        let first = start + between.mul_f64(f64::from(number) / f64::from(connections));
        clients.spawn(client(address, requests, first, between, start + time));
    }
    let mut all = Samples::default();
    while let Some(latencies) = clients.join_next().await {
        latencies??.into_iter().for_each(|latency| all.push(latency));
    }
    Ok(all)
}

async fn client(
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    first: Instant,
    between: Duration,
    end: Instant,
) -> Outcome<Vec<f64>> {
    let mut connection = Connection::open(address).await?;
    let (mut latencies, mut due) = (Vec::new(), first);
    for request in requests.iter().cycle() {
        if due >= end {
            break;
        }
        // Timers are a millisecond coarse: what is due about now is sent now.
        if due > Instant::now() + Duration::from_millis(1) {
            sleep_until(due).await;
        }
        connection.exchange(request).await?;
        latencies.push(due.elapsed().as_secs_f64() * 1e3);
        due += between;
    }
    Ok(latencies)
}

/// Where the API listens.
pub(crate) fn socket_address(installation: &Installation) -> Outcome<SocketAddr> {
    let url = installation.address("api")?;
    Ok(url
        .strip_prefix("http://")
        .ok_or("the API has no plain address")?
        .parse()?)
}

/// A GET of one of the records that are read.
pub(crate) fn read_request(record: u32, token: &str) -> Vec<u8> {
    format!("GET /api/v1/records/bench/read/{record} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n")
        .into_bytes()
}

/// A connection that stays open.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: BytesMut::with_capacity(4096),
        })
    }

    /// Sends a request and reads its whole answer, which has to be a success with a length.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Outcome<()> {
        self.stream.write_all(request).await?;
        loop {
            let whole = whole_answer(&self.buffer)?.filter(|whole| self.buffer.len() >= *whole);
            if let Some(whole) = whole {
                self.buffer.advance(whole);
                return Ok(());
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the connection was closed".into());
            }
        }
    }
}

/// The length of the answer with its head, once the head is there.
fn whole_answer(bytes: &[u8]) -> Outcome<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end])?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("the answer was {}", head.lines().next().unwrap_or_default()).into());
    }
    let length = head
        .lines()
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>())
        })
        .ok_or("the answer has no length")??;
    Ok(Some(end + 4 + length))
}
