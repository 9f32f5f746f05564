//! What one connection may cost: a bounded number of them, none that keeps silent, none that sends
//! without end. Knows nothing of HTTP: it bounds reads and writes below the server. Used by
//! `serve`.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// The bounds of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; further ones wait in the system's queue.
    pub n_connections_max: usize,
    /// A connection to which nothing was written for so long is closed, be it that its request
    /// dribbles in, that it does not read the answer, or that it is kept open without a request.
    pub silence_max: Duration,
    /// What a connection may send before it is answered.
    pub request_bytes_max: usize,
    /// The longest path with its query that is looked at.
    pub uri_bytes_max: usize,
    /// The longest request headers that are looked at.
    pub headers_bytes_max: usize,
    /// What open requests may take after the shutdown began.
    pub drain_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            n_connections_max: 256,
            silence_max: Duration::from_secs(30),
            request_bytes_max: 64 * 1024,
            uri_bytes_max: 4 * 1024,
            headers_bytes_max: 16 * 1024,
            drain_max: Duration::from_secs(5),
        }
    }
}

/// A listener that accepts no more than `n_connections_max` at once.
pub(super) struct LimitedListener {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    limits: Limits,
}

impl LimitedListener {
    pub(super) fn new(listener: TcpListener, limits: Limits) -> Self {
        Self { listener, slots: Arc::new(Semaphore::new(limits.n_connections_max)), limits }
    }
}

impl Listener for LimitedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let slot = Arc::clone(&self.slots).acquire_owned().await.expect("nobody closes the slots");
        // The trait's `accept` retries by itself, the listener's own gives up.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Fails only on a connection that is gone already, which its first read will tell.
        stream.set_nodelay(true).ok();
        (Connection::new(stream, slot, &self.limits), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection that ends itself when it breaks a limit.
pub(super) struct Connection {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    silence_max: Duration,
    n_unanswered: usize,
    n_unanswered_max: usize,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: TcpStream, slot: OwnedSemaphorePermit, limits: &Limits) -> Self {
        Self {
            stream,
            silence: Box::pin(sleep(limits.silence_max)),
            silence_max: limits.silence_max,
            n_unanswered: 0,
            n_unanswered_max: limits.request_bytes_max,
            _slot: slot,
        }
    }

    fn check_silence(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.silence.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }

    fn after_write(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if written.is_pending() {
            self.check_silence(context)?;
        } else {
            self.n_unanswered = 0;
            self.silence.as_mut().reset(Instant::now() + self.silence_max);
        }
        written
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_silence(context)?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.n_unanswered += buffer.filled().len() - before;
        if self.n_unanswered > self.n_unanswered_max {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.after_write(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.after_write(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
