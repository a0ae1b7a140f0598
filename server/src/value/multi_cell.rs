//! Values that are kept element by element: to elements and back.
//!
//! An element's path says where it stands: a set's element and a map's key by their order, a field
//! by its number, a list's element by when it was added.

use std::sync::atomic::{AtomicU64, Ordering};

use super::literal::{collection, map};
use super::order::ordered;
use super::time::{now_us, timeuuid_in_order};
use super::types::CqlType;
use super::validate::{elements, parts};
use crate::store::Element;
use crate::wire::write::Writer;

/// An element to be written; without a value it is deleted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct NewElement {
    pub(crate) path: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
}

/// At which end of a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    Front,
    Back,
}

/// When the last addition to a list was (100 ns since 1970): it grows with each, so that later ones
/// stand further out.
static LAST_ADDITION: AtomicU64 = AtomicU64::new(0);

/// Where the times of additions to the front of lists are reflected, as databases do: 2010-01-01.
const FRONT_TICKS: i64 = 12_623_040_000_000_000;

/// The time-based UUID that stands for the place of a list's element: they have the order of paths.
pub(crate) fn list_key(path: &[u8]) -> [u8; 16] {
    let number = |at: usize| {
        let bytes = path.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u64::from_be_bytes(*bytes))
    };
    let (addition, index) = (number(1), number(9));
    let ticks = match path.first() {
        Some(0) => FRONT_TICKS.wrapping_mul(2).wrapping_sub((!addition).cast_signed()),
        _ => addition.cast_signed(),
    };
    timeuuid_in_order(ticks, index)
}

/// Elements of a list, at one of its ends.
pub(crate) fn list_elements(items: &[&[u8]], end: End) -> Vec<NewElement> {
    let now = u64::try_from(now_us()).unwrap_or(0).wrapping_mul(10);
    let next = |last: u64| Some(now.max(last + 1));
    let last = LAST_ADDITION.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    let addition = now.max(last.unwrap_or(0) + 1);
    let (side, addition) = match end {
        End::Front => (0, !addition),
        End::Back => (1, addition),
    };
    let path = |index: u64| {
        let mut path = vec![side];
        path.extend_from_slice(&addition.to_be_bytes());
        path.extend_from_slice(&index.to_be_bytes());
        path
    };
    let element = |(index, item): (u64, &&[u8])| NewElement {
        path: path(index),
        key: Vec::new(),
        value: Some(item.to_vec()),
    };
    (0..).zip(items).map(element).collect()
}

/// An element of a set, or the entry of a map.
pub(crate) fn keyed(key_type: &CqlType, key: &[u8], value: Option<&[u8]>) -> NewElement {
    let value = value.map(<[u8]>::to_vec);
    NewElement { path: ordered(key_type, key), key: key.to_vec(), value }
}

/// A field of a user-defined type.
pub(crate) fn field(index: usize, value: Option<&[u8]>) -> NewElement {
    let path = u16::try_from(index).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    NewElement { path, key: Vec::new(), value: value.map(<[u8]>::to_vec) }
}

/// The elements of a valid value; nulls are left out.
pub(crate) fn split(typ: &CqlType, bytes: &[u8]) -> Vec<NewElement> {
    match typ {
        CqlType::List(_) => list_elements(&elements(bytes, 1).unwrap_or_default(), End::Back),
        CqlType::Set(element) => {
            let items = elements(bytes, 1).unwrap_or_default();
            items.into_iter().map(|item| keyed(element, item, Some(&[]))).collect()
        }
        CqlType::Map(pair) => {
            let items = elements(bytes, 2).unwrap_or_default();
            let entry = |entry: &[&[u8]]| match entry {
                [key, value] => Some(keyed(&pair.0, key, Some(value))),
                _ => None,
            };
            items.chunks_exact(2).filter_map(entry).collect()
        }
        CqlType::Udt(_) => {
            let fields = parts(bytes).unwrap_or_default().into_iter().enumerate();
            fields.filter_map(|(index, part)| Some(field(index, Some(part?)))).collect()
        }
        _ => Vec::new(),
    }
}

/// The value that these elements make; `None` if there are none.
pub(crate) fn assemble<'e>(
    typ: &CqlType,
    elements: impl Iterator<Item = (&'e [u8], &'e Element)>,
) -> Option<Vec<u8>> {
    let mut elements = elements.peekable();
    elements.peek()?;
    let value = |element: &Element| element.cell.value.as_deref().unwrap_or_default().to_vec();
    Some(match typ {
        CqlType::Set(_) => {
            collection(&elements.map(|(_, element)| element.key.clone()).collect::<Vec<_>>())
        }
        CqlType::Map(_) => {
            let entries = elements.map(|(_, element)| (element.key.clone(), value(element)));
            map(&entries.collect::<Vec<_>>())
        }
        CqlType::Udt(udt) => {
            let mut fields = vec![None; udt.fields.len()];
            for (path, element) in elements {
                let index = path.first_chunk().map(|path| usize::from(u16::from_be_bytes(*path)));
                if let Some(field) = index.and_then(|index| fields.get_mut(index)) {
                    *field = Some(value(element));
                }
            }
            tuple(&fields)
        }
        _ => collection(&elements.map(|(_, element)| value(element)).collect::<Vec<_>>()),
    })
}

/// Parts one after the other, as tuples and user-defined types have them.
pub(crate) fn tuple(parts: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        Writer::new(&mut bytes).bytes(part.as_deref());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Cell, Stamp};
    use crate::value::types::Native;

    fn stored(new: Vec<NewElement>) -> Vec<(Vec<u8>, Element)> {
        let stamp = Stamp { at: 1, expires: None };
        let element = |new: NewElement| {
            let cell = Cell::new(stamp, new.value);
            (new.path, Element { key: new.key, cell })
        };
        let mut elements: Vec<_> = new.into_iter().map(element).collect();
        elements.sort_by(|a, b| a.0.cmp(&b.0));
        elements
    }

    fn whole(typ: &CqlType, elements: &[(Vec<u8>, Element)]) -> Option<Vec<u8>> {
        assemble(typ, elements.iter().map(|(path, element)| (path.as_slice(), element)))
    }

    #[test]
    fn values_are_taken_apart_and_put_together() {
        let int = |n: i32| n.to_be_bytes().to_vec();
        let list = CqlType::List(Box::new(CqlType::INT));
        let bytes = collection(&[int(3), int(1), int(3)]);
        assert_eq!(whole(&list, &stored(split(&list, &bytes))), Some(bytes));
        let set = CqlType::Set(Box::new(CqlType::INT));
        let elements = stored(split(&set, &collection(&[int(7), int(-7)])));
        assert_eq!(whole(&set, &elements), Some(collection(&[int(-7), int(7)])));
        let pairs = CqlType::Map(Box::new((CqlType::INT, CqlType::INT)));
        let bytes = map(&[(int(1), int(2)), (int(3), int(4))]);
        assert_eq!(whole(&pairs, &stored(split(&pairs, &bytes))), Some(bytes));
        assert_eq!(whole(&pairs, &[]), None);
    }

    #[test]
    fn lists_grow_at_both_ends() {
        let list = CqlType::List(Box::new(CqlType::INT));
        let mut elements = Vec::new();
        for (items, end) in
            [([1, 2], End::Back), ([3, 4], End::Back), ([5, 6], End::Front), ([7, 8], End::Front)]
        {
            let items = items.map(i32::to_be_bytes);
            let items: Vec<_> = items.iter().map(<[u8; 4]>::as_slice).collect();
            elements.extend(list_elements(&items, end));
        }
        let uuid = CqlType::Native(Native::Timeuuid);
        let mut keys: Vec<_> =
            elements.iter().map(|e| (e.path.clone(), ordered(&uuid, &list_key(&e.path)))).collect();
        keys.sort();
        assert!(keys.is_sorted_by(|a, b| a.1 < b.1), "keys have the order of paths");
        let expect = [7, 8, 5, 6, 1, 2, 3, 4].map(|n: i32| n.to_be_bytes().to_vec());
        assert_eq!(whole(&list, &stored(elements)), Some(collection(&expect)));
    }
}
