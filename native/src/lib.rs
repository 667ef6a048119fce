//! The native QUIC engine of qsh: quinn-proto and rustls behind the verbs of
//! `qsh/quic/engine.py`.
//!
//! Nothing here does I/O, asks for the time or starts a thread. [`engine::Engine`] is plain
//! Rust; [`python`] is what Python sees of it.

mod amplification;
pub mod clock;
pub mod congestion;
mod courtesy;
mod cubic;
mod doorstep;
pub mod engine;
pub mod events;
pub mod facts;
pub mod ids;
pub mod memory;
mod moving;
mod path;
#[cfg(feature = "python")]
mod python;
mod receiving;
pub mod retry;
mod sending;
pub mod settings;
pub mod tls;
mod verbs;
