//! A socket read in the units of HTTP/1.1: heads, lines, pieces of a body. Keeps what it has read too much.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::PATIENCE;
use super::message::{Framing, Headers, find, parse_head};

/// Why a message did not come whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The peer closed the connection in the middle of it.
    Closed,
    /// The peer reset the connection.
    Reset,
    /// It breaks the grammar of RFC 9112.
    Malformed(String),
}

/// One end of a TCP connection.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        Self::new(TcpStream::connect(addr).unwrap_or_else(|e| panic!("connect to {addr}: {e}")))
    }

    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.stream).write_all(bytes)
    }

    pub(crate) fn close(&self) {
        // Fails only if the peer was faster.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Reads more into the buffer; `Ok(false)` when the peer has closed its side.
    pub(crate) fn fill(&mut self) -> Result<bool, Broken> {
        let mut piece = [0; 16 * 1024];
        loop {
            match (&self.stream).read(&mut piece) {
                Ok(count) => {
                    self.buffer.extend_from_slice(&piece[..count]);
                    return Ok(count > 0);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    panic!("nothing came for {PATIENCE:?}; so far: {}", self.buffer.escape_ascii())
                }
                Err(_) => return Err(Broken::Reset),
            }
        }
    }

    /// What was read and not yet taken.
    pub(crate) fn leftover(&self) -> &[u8] {
        &self.buffer
    }

    /// The next head with its empty line, raw and parsed; `None` if the peer closes without a byte of it.
    pub(crate) fn head(&mut self) -> Result<Option<(Vec<u8>, String, Headers)>, Broken> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            if !self.fill()? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(Broken::Closed) };
            }
        };
        let raw = self.take(end);
        let (start, headers) = parse_head(&raw).map_err(Broken::Malformed)?;
        Ok(Some((raw, start, headers)))
    }

    /// Exactly `count` bytes, whatever they are.
    pub(crate) fn exact(&mut self, count: usize) -> Result<Vec<u8>, Broken> {
        while self.buffer.len() < count {
            if !self.fill()? {
                return Err(Broken::Closed);
            }
        }
        Ok(self.take(count))
    }

    /// All bytes until the peer closes its side.
    pub(crate) fn until_end(&mut self) -> Result<Vec<u8>, Broken> {
        while self.fill()? {}
        Ok(std::mem::take(&mut self.buffer))
    }

    fn line(&mut self) -> Result<Vec<u8>, Broken> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let mut line = self.take(end + 2);
                line.truncate(end);
                return Ok(line);
            }
            if !self.fill()? {
                return Err(Broken::Closed);
            }
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(count);
        std::mem::replace(&mut self.buffer, rest)
    }
}

/// A body on its way in.
pub(crate) struct BodyReader {
    framing: Framing,
    /// Bytes left of the current chunk.
    chunk: u64,
    first: bool,
    ended: bool,
    trailers: Headers,
}

impl BodyReader {
    pub(crate) fn new(framing: Framing) -> Self {
        let ended = framing == Framing::Length(0);
        Self { framing, chunk: 0, first: true, ended, trailers: Headers::default() }
    }

    /// The trailer fields; only complete once the body has ended.
    pub(crate) fn trailers(&self) -> &Headers {
        &self.trailers
    }

    /// The next bytes of the body, as they come; `None` at its end.
    pub(crate) fn piece(&mut self, wire: &mut Wire) -> Result<Option<Vec<u8>>, Broken> {
        if self.ended {
            return Ok(None);
        }
        match self.framing {
            Framing::Length(left) => {
                let piece = some(wire, left)?;
                self.framing = Framing::Length(left - piece.len() as u64);
                self.ended = self.framing == Framing::Length(0);
                Ok(Some(piece))
            }
            Framing::UntilClose => {
                if wire.leftover().is_empty() && !wire.fill()? {
                    self.ended = true;
                    return Ok(None);
                }
                Ok(Some(std::mem::take(&mut wire.buffer)))
            }
            Framing::Chunked => self.chunked(wire),
        }
    }

    /// All that is left of the body.
    pub(crate) fn rest(&mut self, wire: &mut Wire) -> Result<Vec<u8>, Broken> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece(wire)? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    fn chunked(&mut self, wire: &mut Wire) -> Result<Option<Vec<u8>>, Broken> {
        if self.chunk == 0 {
            self.chunk = self.chunk_size(wire)?;
        }
        if self.chunk == 0 {
            let mut lines = Vec::new();
            loop {
                let line = wire.line()?;
                if line.is_empty() {
                    break;
                }
                lines.extend_from_slice(&line);
                lines.extend_from_slice(b"\r\n");
            }
            self.trailers = Headers::parse(&lines).map_err(Broken::Malformed)?;
            self.ended = true;
            return Ok(None);
        }
        let piece = some(wire, self.chunk)?;
        self.chunk -= piece.len() as u64;
        Ok(Some(piece))
    }

    fn chunk_size(&mut self, wire: &mut Wire) -> Result<u64, Broken> {
        if !std::mem::replace(&mut self.first, false) && !wire.line()?.is_empty() {
            return Err(Broken::Malformed("a chunk that is longer than its size".into()));
        }
        let line = wire.line()?;
        let text = String::from_utf8_lossy(&line);
        let digits = text.split(';').next().unwrap_or_default();
        let hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let size = if hex { u64::from_str_radix(digits, 16).ok() } else { None };
        size.ok_or_else(|| Broken::Malformed(format!("chunk size {text:?}")))
    }
}

/// At least one byte and at most `limit`.
fn some(wire: &mut Wire, limit: u64) -> Result<Vec<u8>, Broken> {
    if wire.leftover().is_empty() && !wire.fill()? {
        return Err(Broken::Closed);
    }
    let count = wire.leftover().len().min(usize::try_from(limit).unwrap());
    Ok(wire.take(count))
}
