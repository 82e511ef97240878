//! Standard output: data, nothing else.

use std::io::{self, BufWriter, Stdout, Write};

/// Text on standard error, for people. That one may be closed, too; then there is nobody to tell.
pub fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Buffered; a reader that went away is an error of kind `BrokenPipe`, never a panic.
#[derive(Debug)]
pub struct Out {
    writer: BufWriter<Stdout>,
}

impl Out {
    pub fn new() -> Self {
        Out { writer: BufWriter::with_capacity(64 << 10, io::stdout()) }
    }

    pub fn line(&mut self, line: impl AsRef<[u8]>) -> io::Result<()> {
        self.writer.write_all(line.as_ref())?;
        self.writer.write_all(b"\n")
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
