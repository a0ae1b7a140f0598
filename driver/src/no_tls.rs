//! What stands for TLS in a build without it: types that have no values, so that nothing is left of
//! the code that takes them.

use std::io;

use tokio::net::TcpStream;

pub(crate) mod record {
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Fault(pub(crate) &'static str);
}

pub(crate) mod stream {
    use super::record::Fault;

    #[derive(Debug)]
    pub(crate) struct Secured {
        pub(crate) sealer: Sealer,
        pub(crate) opener: Opener,
        pub(crate) received: Vec<u8>,
    }

    #[derive(Debug)]
    pub(crate) enum Sealer {}

    impl Sealer {
        pub(crate) fn seal(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<(), Fault> {
            match *self {}
        }

        pub(crate) fn close(&mut self, _: &mut Vec<u8>) -> Result<(), Fault> {
            match *self {}
        }
    }

    #[derive(Debug)]
    pub(crate) enum Opener {}

    impl Opener {
        pub(crate) fn next(&mut self, _: &mut [u8]) -> Result<Step, Fault> {
            match *self {}
        }
    }

    #[expect(dead_code, reason = "an opener makes them, and there is none")]
    pub(crate) enum Step {
        NeedMore { at_least: usize },
        Data { start: usize, end: usize, total_len: usize },
        Nothing { total_len: usize },
        Closed,
    }
}

#[derive(Debug)]
pub(crate) enum TlsStream {}

impl TlsStream {
    #[expect(clippy::unused_async, reason = "as the one that does")]
    pub(crate) async fn write_all(&mut self, _: &[u8]) -> io::Result<()> {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "as the one that does")]
    pub(crate) async fn read_exact(&mut self, _: &mut [u8]) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn into_parts(self) -> Result<(TcpStream, stream::Secured), String> {
        match self {}
    }
}
