//! An operation at another consistency than its statement's, as a retry policy may want it.
//!
//! Apart from the operations themselves, so that first attempts do not ask whether there is one.

use shardwire_protocol::consistency::Consistency;
use shardwire_protocol::error::SerializeError;
use shardwire_protocol::header::ResponseHeader;
use shardwire_sync::Lease;

use super::Operation;
use crate::error::Error;
use crate::policy::plan::Routing;
use crate::statement::{Config, Shared};
use crate::topology::Topology;
use crate::topology::tablets::Tablets;

pub(super) struct WithConsistency<'o, O> {
    pub(super) op: &'o O,
    pub(super) consistency: Consistency,
}

impl<'a, O: Operation<'a>> Operation<'a> for WithConsistency<'_, O> {
    type Output = O::Output;

    fn config(&self) -> &Config {
        self.op.config()
    }

    fn route<'t>(&self, topology: &'t Topology) -> Result<Routing<'t>, Error> {
        self.op.route(topology)
    }

    fn tablets(&self) -> Option<&Tablets> {
        self.op.tablets()
    }

    fn frame_len(&self) -> Result<usize, Error> {
        self.op.frame_len() // any consistency has two bytes
    }

    fn encode(&self, stream: i16, frame: &mut [u8]) -> Result<(), SerializeError> {
        self.op.encode_with(self.consistency, stream, frame)
    }

    fn serialize_error(&self, error: SerializeError) -> Error {
        self.op.serialize_error(error)
    }

    fn void(&self) -> Result<Self::Output, Error> {
        self.op.void()
    }

    fn result(&self, header: ResponseHeader, body: Lease) -> Result<Self::Output, Error> {
        self.op.result(header, body)
    }

    fn prepared_with_id(&self, id: &[u8]) -> Option<&'a Shared> {
        self.op.prepared_with_id(id)
    }
}

#[cfg(test)]
mod tests {
    use shardwire_protocol::consistency::SerialConsistency;
    use shardwire_protocol::header::Version;

    use super::*;
    use crate::batch::tests::prepared;
    use crate::batch::{Batch, BatchType, Run};
    use crate::execute::{Execute, ExecutePage};
    use crate::query::{Paging, Query};
    use crate::rows::PagingState;
    use crate::statement::Statement;

    const BIGINT: u16 = 0x02;

    fn frame<'a>(op: &impl Operation<'a>) -> Vec<u8> {
        let mut frame = vec![0xAA; op.frame_len().unwrap()];
        op.encode(7, &mut frame).unwrap();
        frame
    }

    /// `op` at ONE is what `at_one` is by itself.
    #[track_caller]
    fn check<'a>(op: &impl Operation<'a>, at_one: &impl Operation<'a>) {
        let other = WithConsistency { op, consistency: Consistency::One };
        assert_eq!(frame(&other), frame(at_one));
        assert_ne!(frame(op), frame(at_one));
        assert_eq!(other.frame_len().unwrap(), op.frame_len().unwrap());
    }

    #[test]
    fn all_statements_are_sent_at_another_consistency() {
        for (id, serial) in [
            ([0x1D; 16].as_slice(), None),
            (&[0x1D; 16], Some(SerialConsistency::Serial)), // which stands behind the values
            (b"id", None),
        ] {
            let mut prepared = prepared(id, &[BIGINT]);
            prepared.set_serial_consistency(serial);
            let mut at_one = prepared.clone();
            at_one.set_consistency(Consistency::One);
            let values = (7_i64,);
            let of = |prepared| Execute { prepared, values, changed: None };
            check(&of(&prepared), &of(&at_one));
            let state = || Some(PagingState::from_bytes(&[1, 2]));
            check(
                &ExecutePage { prepared: &prepared, values, paging_state: state(), changed: None },
                &ExecutePage { prepared: &at_one, values, paging_state: state(), changed: None },
            );
            let mut alike = Batch::new(BatchType::Unlogged);
            alike.append_statement(prepared.clone());
            let mut mixed = alike.clone();
            mixed.append_statement("DELETE FROM t WHERE id = 1");
            for (batch, len) in [(alike, 1), (mixed, 2)] {
                let mut at_one = batch.clone();
                at_one.set_consistency(Consistency::One);
                let rows: [&dyn shardwire_protocol::row::SerializeRow; 2] = [&values, &()];
                let values = || rows.get(..len).unwrap();
                check(
                    &Run { batch: &batch, values: values(), version: Version::V4 },
                    &Run { batch: &at_one, values: values(), version: Version::V4 },
                );
            }
        }
        let statement = Statement::new("SELECT");
        let mut at_one = statement.clone();
        at_one.set_consistency(Consistency::One);
        let query = |statement| {
            let (paging, version) = (Paging::Page, Version::V4);
            Query { statement, paging_state: None, paging, version }
        };
        check(&query(&statement), &query(&at_one));
    }
}
