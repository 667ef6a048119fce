//! What quinn moves on this machine when nothing but quinn is in the way: quinn-proto over two UDP
//! sockets on loopback, a thread for each end, no runtime, no Python. The measure for the engine.
//!
//!     quinn_alone CERTIFICATE.der KEY.pk8 MEGABYTES DATAGRAM_SIZE
//!
//! prints one line of JSON: seconds, CPU seconds of sender and receiver, datagrams and calls.

use std::env;
use std::fs;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use qsh_native::tls;
use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig,
    Event, ServerConfig, StreamEvent, StreamId, TransportConfig, VarInt,
};
use quinn_udp::{RecvMeta, UdpSocketState};

const MEGABYTE: u64 = 1_000_000;
const ALPN: &[u8] = b"alone";
const RUN: usize = 65_000;
const BUFFERS: usize = 8;
const WINDOW: u32 = 24 << 20;
const SOCKET_BUFFER: usize = 4 << 20;

/// What one end did.
#[derive(Default)]
struct Counters {
    bytes: u64,
    datagrams: u64,
    calls: u64,
    cpu: f64,
}

struct End {
    socket: UdpSocket,
    state: UdpSocketState,
    endpoint: Endpoint,
    link: Option<(ConnectionHandle, Connection)>,
    buffers: Vec<Vec<u8>>,
    datagram_size: usize,
    counters: Counters,
    over: bool,
}

impl End {
    fn new(socket: UdpSocket, server: Option<Arc<ServerConfig>>, size: usize) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        state.set_send_buffer_size((&socket).into(), SOCKET_BUFFER)?;
        state.set_recv_buffer_size((&socket).into(), SOCKET_BUFFER)?;
        let mut config = EndpointConfig::default();
        config.max_udp_payload_size(65_527).expect("in range");
        Ok(Self {
            socket,
            state,
            endpoint: Endpoint::new(Arc::new(config), server, true, None),
            link: None,
            buffers: vec![vec![0; 65_535]; BUFFERS],
            datagram_size: size,
            counters: Counters::default(),
            over: false,
        })
    }

    fn connect(&mut self, config: ClientConfig, remote: SocketAddr) {
        let connected = self
            .endpoint
            .connect(Instant::now(), config, remote, "alone");
        self.link = Some(connected.expect("a client can start"));
    }

    /// Everything that has arrived, one GRO buffer after another. Whether there was anything.
    fn receive(&mut self) -> io::Result<bool> {
        let mut metas = [RecvMeta::default(); BUFFERS];
        let count = {
            let mut slices: Vec<_> = self
                .buffers
                .iter_mut()
                .map(|b| IoSliceMut::new(b))
                .collect();
            match self
                .state
                .recv((&self.socket).into(), &mut slices, &mut metas)
            {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        };
        self.counters.calls += 1;
        let now = Instant::now();
        for (index, meta) in metas.iter().enumerate().take(count) {
            let mut run = BytesMut::from(&self.buffers[index][..meta.len]);
            while !run.is_empty() {
                let datagram = run.split_to(meta.stride.min(run.len()));
                self.counters.datagrams += 1;
                self.take(datagram, meta.addr, now);
            }
        }
        Ok(true)
    }

    fn take(&mut self, datagram: BytesMut, remote: SocketAddr, now: Instant) {
        let mut response = Vec::new();
        match self
            .endpoint
            .handle(now, remote, None, None, datagram, &mut response)
        {
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                if let Some((_, connection)) = &mut self.link {
                    connection.handle_event(event);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                let accepted = self.endpoint.accept(incoming, now, &mut response, None);
                self.link = accepted.ok();
            }
            _ => {}
        }
    }

    fn pump(&mut self) {
        let Some((handle, connection)) = &mut self.link else {
            return;
        };
        while let Some(event) = connection.poll_endpoint_events() {
            let drained = event.is_drained();
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                connection.handle_event(event);
            }
            if drained {
                self.over = true;
                return;
            }
        }
        if connection
            .poll_timeout()
            .is_some_and(|at| at <= Instant::now())
        {
            connection.handle_timeout(Instant::now());
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let Some((_, connection)) = &mut self.link else {
            return Ok(());
        };
        let segments = (RUN / self.datagram_size).clamp(1, 64);
        let mut data = Vec::with_capacity(RUN);
        loop {
            data.clear();
            let Some(transmit) = connection.poll_transmit(Instant::now(), segments, &mut data)
            else {
                return Ok(());
            };
            let datagrams = transmit
                .size
                .div_ceil(transmit.segment_size.unwrap_or(transmit.size));
            let outgoing = quinn_udp::Transmit {
                destination: transmit.destination,
                ecn: None,
                contents: &data[..transmit.size],
                segment_size: transmit.segment_size,
                src_ip: None,
            };
            while let Err(error) = self.state.try_send((&self.socket).into(), &outgoing) {
                if error.kind() != io::ErrorKind::WouldBlock {
                    return Err(error);
                }
                wait(&self.socket, libc::POLLOUT, 1);
            }
            self.counters.calls += 1;
            self.counters.datagrams += datagrams as u64;
        }
    }

    /// Runs until `work`, which is called after every batch, is done, or the connection is over.
    fn run(&mut self, mut work: impl FnMut(&mut Connection, &mut u64) -> bool) -> io::Result<()> {
        loop {
            let heard = self.receive()?;
            self.pump();
            if self.over {
                break;
            }
            let mut done = false;
            if let Some((_, connection)) = &mut self.link {
                done = work(connection, &mut self.counters.bytes);
            }
            self.send()?;
            if done {
                break;
            }
            if !heard {
                let deadline = self.link.as_mut().and_then(|(_, link)| link.poll_timeout());
                let patience = deadline.map_or(Duration::from_millis(100), |at| {
                    at.saturating_duration_since(Instant::now())
                });
                wait(
                    &self.socket,
                    libc::POLLIN,
                    patience.as_micros().div_ceil(1000) as i32,
                );
            }
        }
        self.counters.cpu = thread_cpu_seconds();
        Ok(())
    }
}

fn wait(socket: &UdpSocket, events: i16, milliseconds: i32) {
    let mut poll = libc::pollfd {
        fd: socket.as_raw_fd(),
        events,
        revents: 0,
    };
    // SAFETY: one valid pollfd, alive for the call.
    unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
}

fn thread_cpu_seconds() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a valid timespec to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn transport(size: u16) -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config
        .stream_receive_window(WINDOW.into())
        .receive_window(VarInt::MAX)
        .send_window(WINDOW.into())
        .initial_mtu(size)
        .mtu_discovery_config(None);
    Arc::new(config)
}

fn upload(end: &mut End, size: u64) -> io::Result<()> {
    let block = Bytes::from(vec![0x5a; 256 << 10]);
    let (mut left, mut id): (u64, Option<StreamId>) = (size, None);
    end.run(|connection, bytes| {
        let mut done = false;
        while let Some(event) = connection.poll() {
            if let Event::Connected = event {
                id = connection.streams().open(Dir::Uni);
            }
            done |= matches!(event, Event::Stream(StreamEvent::Finished { .. }));
        }
        let Some(id) = id else { return false };
        while left > 0 {
            let piece = block.slice(..(block.len() as u64).min(left) as usize);
            let Ok(written) = connection.send_stream(id).write_chunks(&mut [piece]) else {
                break;
            };
            left -= written.bytes as u64;
            *bytes += written.bytes as u64;
            if left == 0 {
                let _ = connection.send_stream(id).finish();
            }
        }
        if done {
            connection.close(Instant::now(), 0u32.into(), Bytes::new());
        }
        done
    })
}

fn download(end: &mut End) -> io::Result<()> {
    let (mut id, mut sink) = (None, Vec::new());
    end.run(|connection, bytes| {
        while let Some(event) = connection.poll() {
            if let Event::ConnectionLost { .. } = event {
                return true;
            }
        }
        if id.is_none() {
            id = connection.streams().accept(Dir::Uni);
        }
        let Some(id) = id else { return false };
        let mut stream = connection.recv_stream(id);
        if let Ok(mut chunks) = stream.read(true) {
            sink.clear();
            while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
                *bytes += chunk.bytes.len() as u64;
                sink.extend_from_slice(&chunk.bytes); // a program wants its bytes in one piece
            }
            let _ = chunks.finalize();
        }
        false
    })
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().collect();
    let [_, certificate, key, megabytes, datagram_size] = arguments.as_slice() else {
        eprintln!("usage: quinn_alone CERTIFICATE.der KEY.pk8 MEGABYTES DATAGRAM_SIZE");
        std::process::exit(2);
    };
    let size: u16 = datagram_size.parse().map_err(io::Error::other)?;
    let bytes = megabytes.parse::<u64>().map_err(io::Error::other)? * MEGABYTE;
    let server_tls = tls::server(ALPN, &[], fs::read(certificate)?, fs::read(key)?, None)
        .map_err(io::Error::other)?;
    let crypto = QuicServerConfig::try_from(server_tls).map_err(io::Error::other)?;
    let mut server_config = ServerConfig::with_crypto(Arc::new(crypto));
    server_config.transport_config(transport(size));
    let client_tls = tls::client(ALPN, &[], false, None).map_err(io::Error::other)?;
    let crypto = QuicClientConfig::try_from(client_tls).map_err(io::Error::other)?;
    let mut client_config = ClientConfig::new(Arc::new(crypto));
    client_config.transport_config(transport(size));

    let sockets = [(); 2].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)));
    let [client_socket, server_socket] = sockets;
    let (client_socket, server_socket) = (client_socket?, server_socket?);
    let remote = server_socket.local_addr()?;
    let mut server = End::new(server_socket, Some(Arc::new(server_config)), size.into())?;
    let mut client = End::new(client_socket, None, size.into())?;
    let begin = Instant::now();
    client.connect(client_config, remote);
    let receiver = thread::spawn(move || download(&mut server).map(|()| server.counters));
    upload(&mut client, bytes)?;
    let seconds = begin.elapsed().as_secs_f64();
    let received = receiver.join().expect("the receiver does not panic")?;
    assert_eq!(received.bytes, bytes, "everything arrives");
    let lost = client
        .link
        .map_or(0, |(_, link)| link.stats().path.lost_packets);
    let sent = client.counters;
    println!(
        "{{\"seconds\": {seconds}, \"sender_cpu\": {}, \"receiver_cpu\": {}, \"lost\": {lost}, \
         \"sender_datagrams\": {}, \"sender_calls\": {}, \"receiver_datagrams\": {}, \
         \"receiver_calls\": {}}}",
        sent.cpu, received.cpu, sent.datagrams, sent.calls, received.datagrams, received.calls
    );
    Ok(())
}
