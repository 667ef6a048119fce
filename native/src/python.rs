//! What Python sees: `qsh_native.Connection`, described by `qsh_native.pyi`.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyBytes, PyTuple};
use quinn_proto::Dir;

use crate::engine::{Engine, StateError, Transmit};
use crate::events::Event;
use crate::ids::{IdSource, IssuedId};
use crate::memory::keep_freed_memory;
use crate::retry::SeenAddress;
use crate::settings::{Expected, Settings, SettingsError};

create_exception!(
    qsh_native,
    NativeStateError,
    PyException,
    "The connection's state forbids what was asked for."
);

impl From<StateError> for PyErr {
    fn from(error: StateError) -> Self {
        NativeStateError::new_err(error.0)
    }
}

impl From<SettingsError> for PyErr {
    fn from(error: SettingsError) -> Self {
        PyValueError::new_err(error.0)
    }
}

/// An address as the interface has it: text and port.
struct Address(SocketAddr);

impl<'a, 'py> FromPyObject<'a, 'py> for Address {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let (host, port): (PyBackedStr, u16) = object.extract()?;
        let ip: IpAddr = host
            .parse()
            .map_err(|_| PyValueError::new_err(format!("{host:?} is no IP address")))?;
        Ok(Self(SocketAddr::new(ip, port)))
    }
}

fn address(remote: SocketAddr) -> (String, u16) {
    (remote.ip().to_string(), remote.port())
}

/// An `EngineConfig`, by the names of its fields.
fn settings(config: &Bound<'_, PyAny>) -> PyResult<Settings> {
    Ok(Settings {
        alpn: config.getattr("alpn")?.extract::<String>()?.into_bytes(),
        idle_timeout: config.getattr("idle_timeout")?.extract()?,
        keep_alive: config.getattr("keep_alive")?.extract()?,
        max_datagram_size: config.getattr("max_datagram_size")?.extract()?,
        largest_datagram_size: config.getattr("largest_datagram_size")?.extract()?,
        congestion_control: config.getattr("congestion_control")?.extract()?,
        key_exchange: config.getattr("key_exchange")?.extract()?,
        initial_rtt: config.getattr("initial_rtt")?.extract()?,
        max_streams: config.getattr("max_streams")?.extract()?,
        pre_login_credit: config.getattr("pre_login_credit")?.extract()?,
        key_log: config.getattr("key_log")?.extract()?,
    })
}

/// Calls `config.new_id` whenever an ID is needed, also amid the parsing of packets.
fn id_source(config: &Bound<'_, PyAny>) -> PyResult<IdSource> {
    let new_id: Py<PyAny> = config.getattr("new_id")?.unbind();
    Ok(Box::new(move || {
        Python::attach(|py| {
            issued_id(new_id.bind(py))
                // There is nobody to raise to: the call may come from any packet.
                .map_err(|error| error.write_unraisable(py, Some(new_id.bind(py))))
                .ok()
        })
    }))
}

fn issued_id(new_id: &Bound<'_, PyAny>) -> PyResult<IssuedId> {
    let issued = new_id.call0()?;
    Ok(IssuedId {
        connection_id: issued.getattr("connection_id")?.extract()?,
        reset_token: issued.getattr("reset_token")?.extract()?,
    })
}

/// One QUIC connection.
#[pyclass(name = "Connection", module = "qsh_native", subclass)]
struct PyConnection {
    engine: Engine,
}

#[pymethods]
impl PyConnection {
    #[staticmethod]
    fn client(
        config: &Bound<'_, PyAny>,
        server_name: &str,
        remote: Address,
        now: f64,
    ) -> PyResult<Self> {
        let ids = id_source(config)?;
        let engine = Engine::client(&settings(config)?, ids, server_name, remote.0, now)?;
        Ok(Self { engine })
    }

    #[staticmethod]
    fn server(
        config: &Bound<'_, PyAny>,
        certificate: Vec<u8>,
        private_key: Vec<u8>,
        original_destination: Vec<u8>,
        retry_source: Option<Vec<u8>>,
        now: f64,
    ) -> PyResult<Self> {
        let expected = Expected {
            original_destination,
            retry_source,
            seen: SeenAddress::default(),
        };
        let ids = id_source(config)?;
        let engine = Engine::server(
            &settings(config)?,
            ids,
            certificate,
            private_key,
            expected,
            now,
        )?;
        Ok(Self { engine })
    }

    fn receive_datagrams(
        &mut self,
        py: Python<'_>,
        data: &[u8],
        segment_size: usize,
        remote: Address,
        now: f64,
    ) {
        py.detach(|| {
            self.engine
                .receive_datagrams(data, segment_size, remote.0, now);
        });
    }

    #[pyo3(signature = (now, most = usize::MAX))]
    fn datagrams_to_send<'py>(
        &mut self,
        py: Python<'py>,
        now: f64,
        most: usize,
    ) -> Vec<(Bound<'py, PyBytes>, usize, (String, u16))> {
        let transmits = py.detach(|| self.engine.datagrams_to_send(now, most));
        let to_python = |transmit: Transmit| {
            let data = PyBytes::new(py, &transmit.data);
            (data, transmit.segment_size, address(transmit.remote))
        };
        transmits.into_iter().map(to_python).collect()
    }

    fn next_event<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.engine
            .next_event()
            .map(|event| event_tuple(py, event))
            .transpose()
    }

    fn get_timer(&mut self) -> Option<f64> {
        self.engine.get_timer()
    }

    fn handle_timer(&mut self, py: Python<'_>, now: f64) {
        py.detach(|| self.engine.handle_timer(now));
    }

    fn migrate(&mut self, now: f64) {
        self.engine.migrate(now);
    }

    fn kick(&mut self, now: f64) {
        self.engine.kick(now);
    }

    fn use_congestion_control(&mut self, name: &str, now: f64) -> bool {
        self.engine.use_congestion_control(name, now)
    }

    #[pyo3(signature = (*, bidirectional = true))]
    fn open_stream(&mut self, bidirectional: bool) -> PyResult<u64> {
        let dir = if bidirectional { Dir::Bi } else { Dir::Uni };
        Ok(self.engine.open_stream(dir)?)
    }

    #[pyo3(signature = (stream_id, data, fin = false))]
    fn send_stream_data(&mut self, stream_id: u64, data: PyBackedBytes, fin: bool) {
        self.engine.send_stream_data(stream_id, kept(data), fin);
    }

    fn stream_unsent(&self, stream_id: u64) -> usize {
        self.engine.stream_unsent(stream_id)
    }

    fn consume(&mut self, stream_id: u64, count: usize) {
        self.engine.consume(stream_id, count);
    }

    fn raise_credit(&mut self) {
        self.engine.raise_credit();
    }

    fn reset_stream(&mut self, stream_id: u64, code: u64) {
        self.engine.reset_stream(stream_id, code);
    }

    fn stop_stream(&mut self, stream_id: u64, code: u64) {
        self.engine.stop_stream(stream_id, code);
    }

    fn set_priority(&mut self, stream_id: u64, priority: i32) {
        self.engine.set_priority(stream_id, priority);
    }

    fn send_datagrams(&mut self, datagrams: Vec<PyBackedBytes>) -> PyResult<()> {
        Ok(self
            .engine
            .send_datagrams(datagrams.into_iter().map(kept))?)
    }

    #[getter]
    fn max_datagram_payload(&mut self) -> Option<usize> {
        self.engine.max_datagram_payload()
    }

    fn close(&mut self, code: u64, reason: &str, now: f64) {
        self.engine.close(code, reason, now);
    }

    fn export_keying_material<'py>(
        &self,
        py: Python<'py>,
        label: &[u8],
        context: &[u8],
        length: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let material = self.engine.export_keying_material(label, context, length)?;
        Ok(PyBytes::new(py, &material))
    }

    #[getter]
    fn peer_certificate<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let certificate = self.engine.peer_certificate()?;
        Some(PyBytes::new(py, &certificate))
    }

    #[getter]
    fn original_destination_connection_id<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.engine.original_destination())
    }

    /// The fields of `qsh.quic.engine.Stats`, in their order.
    fn raw_stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let stats = self.engine.stats();
        (
            stats.smoothed_rtt,
            stats.latest_rtt,
            stats.packets_sent,
            stats.packets_received,
            stats.packets_lost,
            stats.bytes_sent,
            stats.bytes_received,
            stats.congestion_window,
            stats.bytes_in_flight,
            stats.datagram_size,
            stats.remote.map(address),
        )
            .into_pyobject(py)
    }
}

/// Short data is copied; of long data the Python object is kept until it is acknowledged.
fn kept(data: PyBackedBytes) -> Bytes {
    const WORTH_KEEPING: usize = 4096;
    if data.len() < WORTH_KEEPING {
        Bytes::copy_from_slice(&data)
    } else {
        Bytes::from_owner(data)
    }
}

/// The event's number in `engine_quinn.EVENTS`, and its fields.
fn event_tuple(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyTuple>> {
    match event {
        Event::HandshakeCompleted { alpn, key_exchange } => {
            let alpn = String::from_utf8_lossy(&alpn).into_owned();
            (0, (alpn, false, key_exchange)).into_pyobject(py)
        }
        Event::StreamData {
            stream_id,
            chunks,
            fin,
        } => (1, (stream_id, joined(py, &chunks)?, fin)).into_pyobject(py),
        Event::StreamReset { stream_id, code } => (2, (stream_id, code)).into_pyobject(py),
        Event::StreamStopped { stream_id, code } => (3, (stream_id, code)).into_pyobject(py),
        Event::DatagramsReceived(datagrams) => {
            let datagrams: Vec<_> = datagrams
                .iter()
                .map(|data| PyBytes::new(py, data))
                .collect();
            (4, (datagrams,)).into_pyobject(py)
        }
        Event::PathChanged(remote) => (5, (address(remote),)).into_pyobject(py),
        Event::ConnectionClosed(closed) => (
            6,
            (
                closed.code,
                closed.reason,
                closed.by_application,
                closed.local,
            ),
        )
            .into_pyobject(py),
        Event::PathTried(remote) => (7, (address(remote),)).into_pyobject(py),
    }
}

/// One copy, straight into Python's memory.
fn joined<'py>(py: Python<'py>, chunks: &[Bytes]) -> PyResult<Bound<'py, PyBytes>> {
    let length: usize = chunks.iter().map(Bytes::len).sum();
    let size = ffi::Py_ssize_t::try_from(length)?;
    // SAFETY: without a source the bytes are new, nobody else's, and not yet written; all
    // `length` of them are written below, before anybody can see them. PyO3's own way to make
    // bytes fills them with zeros first, which is one pass over memory too many.
    unsafe {
        let bytes = ffi::PyBytes_FromStringAndSize(std::ptr::null(), size);
        let bytes = Bound::from_owned_ptr_or_err(py, bytes)?;
        let mut target = ffi::PyBytes_AsString(bytes.as_ptr()).cast::<u8>();
        for chunk in chunks {
            std::ptr::copy_nonoverlapping(chunk.as_ptr(), target, chunk.len());
            target = target.add(chunk.len());
        }
        Ok(bytes.cast_into_unchecked())
    }
}

/// The native QUIC engine of qsh.
#[pymodule]
fn qsh_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    keep_freed_memory();
    module.add_class::<PyConnection>()?;
    module.add("StateError", module.py().get_type::<NativeStateError>())?;
    module.add("VERSION", env!("CARGO_PKG_VERSION"))
}
