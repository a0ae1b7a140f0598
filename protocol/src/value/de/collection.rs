//! Lists, sets, maps and vectors: walked in place, or collected.
//!
//! [`ListView`] and [`MapView`] hold the collection's bytes and decode an element when it is asked
//! for; the owned collections are collected from them. A null list, set or map reads as an empty
//! one: servers do not keep the two apart unless the column is frozen, and then `Option` tells. A
//! null vector is an error, since a vector is never empty.
//!
//! Next: `value/de/owned.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::iter::FusedIterator;
use std::marker::PhantomData;

use super::DeserializeValue;
use crate::error::{DeserializeError, TypeMismatch};
use crate::types::ColumnType;
use crate::wire::Reader;

/// Elements that an owned collection makes room for before it has read the first.
///
/// The peer chooses the count: four bytes of its frame may announce an element that takes hundreds
/// of bytes here. Beyond this many, memory grows with what was really read.
pub const COLLECTION_RESERVE_MAX: usize = 1024;

/// How the elements of a list-like value follow each other.
#[derive(Clone, Copy, Debug)]
enum Framing {
    /// Lists, sets: each element is a `[bytes]`.
    Bytes,
    /// Vectors of a type of fixed length: nothing but the content.
    Fixed(usize),
    /// Other vectors: an unsigned vint with the length, then the content.
    Vint,
}

/// A list, set or vector in the bytes of its cell.
///
/// `T` is what each element is read as; `Option<T>` where elements may be null.
///
/// ```
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::{DeserializeValue, ListView};
///
/// let typ = ColumnType::List(Box::new(ColumnType::Text));
/// let cell = b"\0\0\0\x02\0\0\0\x04lamp\0\0\0\x05table";
/// let list = ListView::<&str>::deserialize(&typ, Some(cell))?;
/// assert_eq!(list.len(), 2);
/// assert_eq!(list.iter().collect::<Result<Vec<_>, _>>()?, ["lamp", "table"]);
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
pub struct ListView<'frame, T> {
    typ: &'frame ColumnType, // the element's; the collection's own where nothing is left
    reader: Reader<'frame>,
    left: usize,
    framing: Framing,
    element: PhantomData<fn() -> T>,
}

impl<'frame, T> ListView<'frame, T> {
    /// How many elements the peer announced. Bounded by the length of the cell.
    ///
    /// ```
    /// # use shardwire_protocol::types::ColumnType;
    /// # use shardwire_protocol::value::{DeserializeValue, ListView};
    /// let typ = ColumnType::Set(Box::new(ColumnType::Int));
    /// assert_eq!(ListView::<i32>::deserialize(&typ, None)?.len(), 0);
    /// let hostile = ListView::<i32>::deserialize(&typ, Some(&[0, 0, 0, 9])); // nine in no bytes
    /// assert!(hostile.is_err());
    /// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.left
    }

    /// Whether there are no elements.
    ///
    /// ```
    /// # use shardwire_protocol::types::ColumnType;
    /// # use shardwire_protocol::value::{DeserializeValue, ListView};
    /// let typ = ColumnType::List(Box::new(ColumnType::Int));
    /// assert!(ListView::<i32>::deserialize(&typ, Some(&[0; 4]))?.is_empty());
    /// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Reads the elements one after the other. After an error it ends.
    ///
    /// ```
    /// # use shardwire_protocol::types::ColumnType;
    /// # use shardwire_protocol::value::{DeserializeValue, ListView};
    /// let typ = ColumnType::Vector(Box::new(ColumnType::Int), 2);
    /// let list = ListView::<i32>::deserialize(&typ, Some(&[0, 0, 0, 7, 0, 0, 0, 8]))?;
    /// assert_eq!(list.iter().next(), Some(Ok(7)));
    /// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
    /// ```
    #[must_use]
    pub fn iter(&self) -> ListIter<'frame, T> {
        ListIter { view: *self }
    }

    #[inline]
    fn read_element(&mut self) -> Result<Option<&'frame [u8]>, DeserializeError> {
        let len = match self.framing {
            Framing::Bytes => return self.reader.bytes("element").map_err(|_| short()),
            Framing::Fixed(len) => len,
            Framing::Vint => {
                let len = self.reader.unsigned_vint("element").map_err(|_| short())?;
                usize::try_from(len).map_err(|_| short())?
            }
        };
        self.reader.take(len, "element").map(Some).map_err(|_| short())
    }
}

impl<'frame, T: DeserializeValue<'frame>> ListView<'frame, T> {
    /// Gives all elements to `sink`: one loop per framing, through which no error can pass. What
    /// is wrong is found out by a second walk.
    #[inline(always)]
    pub(super) fn read_all(self, mut sink: impl FnMut(T)) -> Result<(), DeserializeError> {
        let is_sound = match self.framing {
            Framing::Bytes => self.read_cells(&mut sink),
            // The lengths of numbers: known when compiling, they need not be checked again.
            Framing::Fixed(4) => self.read_chunks::<4>(&mut sink),
            Framing::Fixed(8) => self.read_chunks::<8>(&mut sink),
            Framing::Fixed(_) | Framing::Vint => self.read_elements(&mut sink),
        };
        if is_sound.is_some() { Ok(()) } else { Err(self.first_error()) }
    }

    #[inline(always)]
    fn read_cells(mut self, sink: &mut impl FnMut(T)) -> Option<()> {
        for _ in 0..self.left {
            sink(T::deserialize_sound(self.typ, &mut self.reader)?);
        }
        Some(())
    }

    #[inline(always)]
    fn read_chunks<const LEN: usize>(self, sink: &mut impl FnMut(T)) -> Option<()> {
        let (chunks, _) = self.reader.remaining().as_chunks::<LEN>();
        for chunk in chunks.get(..self.left)? {
            sink(T::deserialize(self.typ, Some(chunk)).ok()?);
        }
        Some(())
    }

    fn read_elements(mut self, sink: &mut impl FnMut(T)) -> Option<()> {
        for _ in 0..self.left {
            let content = self.read_element().ok()?;
            sink(T::deserialize(self.typ, content).ok()?);
        }
        Some(())
    }

    #[cold]
    fn first_error(self) -> DeserializeError {
        // One there is, unless an implementation's two ways to read disagree.
        self.into_iter().find_map(Result::err).unwrap_or_else(short)
    }

    /// How many elements to make room for at once.
    fn room(&self) -> usize {
        let max = match self.framing {
            // They take as much here as there, so that the cell's length is the bound.
            Framing::Fixed(len) if size_of::<T>() <= len => self.left,
            _ => COLLECTION_RESERVE_MAX,
        };
        self.left.min(max)
    }
}

#[cold]
fn short() -> DeserializeError {
    DeserializeError::bad_value("collection cut short")
}

/// Elements of a [`ListView`], in the order of the cell.
///
/// ```
/// # use shardwire_protocol::types::ColumnType;
/// # use shardwire_protocol::value::{DeserializeValue, ListView};
/// let typ = ColumnType::List(Box::new(ColumnType::Int));
/// let cell = [0, 0, 0, 2, 0, 0, 0, 1, 7, 0, 0, 0, 0]; // no int has one byte
/// let mut elements = ListView::<i32>::deserialize(&typ, Some(&cell))?.iter();
/// assert!(matches!(elements.next(), Some(Err(_))));
/// assert!(elements.next().is_none());
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
pub struct ListIter<'frame, T> {
    view: ListView<'frame, T>,
}

impl<'frame, T: DeserializeValue<'frame>> Iterator for ListIter<'frame, T> {
    type Item = Result<T, DeserializeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.view.left = self.view.left.checked_sub(1)?;
        let typ = self.view.typ;
        // Types of fixed length are told by the length alone. Others would gain nothing.
        if T::CELL_LEN_MIN > 4
            && let Framing::Bytes = self.view.framing
        {
            let mut cells = self.view.reader;
            if let Some(element) = T::deserialize_sound(typ, &mut cells) {
                self.view.reader = cells;
                return Some(Ok(element));
            }
        }
        let element = self.view.read_element().and_then(|content| T::deserialize(typ, content));
        if element.is_err() {
            self.view.left = 0;
        }
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.view.left, Some(self.view.left))
    }
}

impl<'frame, T: DeserializeValue<'frame>> ExactSizeIterator for ListIter<'frame, T> {}
impl<'frame, T: DeserializeValue<'frame>> FusedIterator for ListIter<'frame, T> {}

impl<'frame, T: DeserializeValue<'frame>> IntoIterator for ListView<'frame, T> {
    type Item = Result<T, DeserializeError>;
    type IntoIter = ListIter<'frame, T>;

    fn into_iter(self) -> Self::IntoIter {
        ListIter { view: self }
    }
}

// Whatever the elements are: a derived `Clone` would ask it of them.

impl<T> Clone for ListView<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ListView<'_, T> {}

impl<T> Clone for ListIter<'_, T> {
    fn clone(&self) -> Self {
        Self { view: self.view }
    }
}

impl<T> fmt::Debug for ListView<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListView")
            .field("len", &self.left)
            .field("bytes", &self.reader.remaining())
            .finish()
    }
}

impl<T> fmt::Debug for ListIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListIter").field("left", &self.view.left).finish()
    }
}

impl<'frame, T: DeserializeValue<'frame>> DeserializeValue<'frame> for ListView<'frame, T> {
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        match typ {
            ColumnType::List(element) | ColumnType::Set(element) => T::type_check(element),
            ColumnType::Vector(element, _) => T::type_check(element),
            _ => Err(TypeMismatch::of::<Self>(typ)),
        }
    }

    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        let (element_typ, dimensions) = match typ {
            ColumnType::List(element) | ColumnType::Set(element) => (&**element, None),
            ColumnType::Vector(element, dimensions) => (&**element, Some(*dimensions)),
            _ => return Err(TypeMismatch::of::<Self>(typ).into()),
        };
        let mut reader = Reader::new(cell.unwrap_or_default());
        let (count, framing) = match (cell, dimensions) {
            (None, None) => (0, Framing::Bytes),
            // Of no elements there is none: what is not there is no vector.
            (None, Some(_)) => return Err(DeserializeError::unexpected_null::<Self>()),
            (Some(_), None) => (read_count(&mut reader, 4)?, Framing::Bytes), // 4: its length
            (Some(content), Some(dimensions)) => {
                let count = usize::from(dimensions);
                let len = element_typ.vector_element_len();
                // At least 1, a vint: elements of no length (of a vector of none, which CQL does
                // not have) would let 65,535 times 65,535 of them come from nothing.
                let len_min = len.unwrap_or(1).max(1);
                if count.checked_mul(len_min).is_none_or(|len| len > content.len()) {
                    return Err(short());
                }
                (count, len.map_or(Framing::Vint, Framing::Fixed))
            }
        };
        Ok(ListView { typ: element_typ, reader, left: count, framing, element: PhantomData })
    }
}

/// Reads the `[int]` before a collection: no more than fits into the cell if each element takes
/// `element_len_min` bytes.
fn read_count(reader: &mut Reader<'_>, element_len_min: usize) -> Result<usize, DeserializeError> {
    reader
        .count("element count", element_len_min)
        .ok()
        .and_then(|count| usize::try_from(count).ok())
        .ok_or_else(|| DeserializeError::bad_value("count of a collection"))
}

/// A map in the bytes of its cell.
///
/// ```
/// use shardwire_protocol::types::ColumnType;
/// use shardwire_protocol::value::{DeserializeValue, MapView};
///
/// let typ = ColumnType::Map(Box::new((ColumnType::Text, ColumnType::Int)));
/// let cell = b"\0\0\0\x01\0\0\0\x04lamp\0\0\0\x04\0\0\0\x07";
/// let map = MapView::<&str, i32>::deserialize(&typ, Some(cell))?;
/// for entry in map {
///     assert_eq!(entry?, ("lamp", 7));
/// }
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
pub struct MapView<'frame, K, V> {
    key_typ: &'frame ColumnType,
    value_typ: &'frame ColumnType,
    reader: Reader<'frame>,
    left: usize,
    entry: PhantomData<fn() -> (K, V)>,
}

impl<'frame, K, V> MapView<'frame, K, V> {
    /// How many entries the peer announced. Bounded by the length of the cell.
    ///
    /// ```
    /// # use shardwire_protocol::types::ColumnType;
    /// # use shardwire_protocol::value::{DeserializeValue, MapView};
    /// let typ = ColumnType::Map(Box::new((ColumnType::Text, ColumnType::Int)));
    /// let cell = b"\0\0\0\x01\0\0\0\x04lamp\0\0\0\x04\0\0\0\x07";
    /// assert_eq!(MapView::<&str, i32>::deserialize(&typ, Some(cell))?.len(), 1);
    /// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.left
    }

    /// Whether there are no entries.
    ///
    /// ```
    /// # use shardwire_protocol::types::ColumnType;
    /// # use shardwire_protocol::value::{DeserializeValue, MapView};
    /// let typ = ColumnType::Map(Box::new((ColumnType::Text, ColumnType::Int)));
    /// assert!(MapView::<&str, i32>::deserialize(&typ, None)?.is_empty());
    /// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Reads the entries one after the other. After an error it ends.
    ///
    /// ```
    /// # use shardwire_protocol::types::ColumnType;
    /// # use shardwire_protocol::value::{DeserializeValue, MapView};
    /// let typ = ColumnType::Map(Box::new((ColumnType::Text, ColumnType::Int)));
    /// let cell = b"\0\0\0\x01\0\0\0\x04lamp\0\0\0\x04\0\0\0\x07";
    /// let map = MapView::<&str, i32>::deserialize(&typ, Some(cell))?;
    /// assert_eq!(map.iter().next(), Some(Ok(("lamp", 7))));
    /// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
    /// ```
    #[must_use]
    pub fn iter(&self) -> MapIter<'frame, K, V> {
        MapIter { view: *self }
    }

    fn read_half(&mut self) -> Result<Option<&'frame [u8]>, DeserializeError> {
        self.reader.bytes("entry").map_err(|_| short())
    }
}

impl<'frame, K, V> MapView<'frame, K, V>
where
    K: DeserializeValue<'frame>,
    V: DeserializeValue<'frame>,
{
    /// Gives all entries to `sink`, as [`ListView::read_all`] does.
    #[inline(always)]
    pub(in crate::value) fn read_all(
        self,
        mut sink: impl FnMut(K, V),
    ) -> Result<(), DeserializeError> {
        let mut reader = self.reader;
        for _ in 0..self.left {
            let Some(key) = K::deserialize_sound(self.key_typ, &mut reader) else {
                return Err(self.first_error());
            };
            let Some(value) = V::deserialize_sound(self.value_typ, &mut reader) else {
                return Err(self.first_error());
            };
            sink(key, value);
        }
        Ok(())
    }

    #[cold]
    fn first_error(self) -> DeserializeError {
        self.into_iter().find_map(Result::err).unwrap_or_else(short)
    }
}

/// Entries of a [`MapView`], in the order of the cell.
///
/// ```
/// # use shardwire_protocol::types::ColumnType;
/// # use shardwire_protocol::value::{DeserializeValue, MapView};
/// let typ = ColumnType::Map(Box::new((ColumnType::Int, ColumnType::Int)));
/// let cell = [0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 7, 0xFF, 0xFF, 0xFF, 0xFF]; // 7: null
/// let mut entries = MapView::<i32, i32>::deserialize(&typ, Some(&cell))?.iter();
/// assert!(matches!(entries.next(), Some(Err(_)))); // `Option<i32>` could be null
/// assert!(entries.next().is_none());
/// # Ok::<(), shardwire_protocol::error::DeserializeError>(())
/// ```
pub struct MapIter<'frame, K, V> {
    view: MapView<'frame, K, V>,
}

impl<'frame, K, V> MapIter<'frame, K, V>
where
    K: DeserializeValue<'frame>,
    V: DeserializeValue<'frame>,
{
    fn read_entry(&mut self) -> Result<(K, V), DeserializeError> {
        let key = K::deserialize(self.view.key_typ, self.view.read_half()?)?;
        let value = V::deserialize(self.view.value_typ, self.view.read_half()?)?;
        Ok((key, value))
    }
}

impl<'frame, K, V> Iterator for MapIter<'frame, K, V>
where
    K: DeserializeValue<'frame>,
    V: DeserializeValue<'frame>,
{
    type Item = Result<(K, V), DeserializeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.view.left = self.view.left.checked_sub(1)?;
        let entry = self.read_entry();
        if entry.is_err() {
            self.view.left = 0;
        }
        Some(entry)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.view.left, Some(self.view.left))
    }
}

impl<'frame, K, V> ExactSizeIterator for MapIter<'frame, K, V>
where
    K: DeserializeValue<'frame>,
    V: DeserializeValue<'frame>,
{
}

impl<'frame, K, V> FusedIterator for MapIter<'frame, K, V>
where
    K: DeserializeValue<'frame>,
    V: DeserializeValue<'frame>,
{
}

impl<'frame, K, V> IntoIterator for MapView<'frame, K, V>
where
    K: DeserializeValue<'frame>,
    V: DeserializeValue<'frame>,
{
    type Item = Result<(K, V), DeserializeError>;
    type IntoIter = MapIter<'frame, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        MapIter { view: self }
    }
}

impl<K, V> Clone for MapView<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for MapView<'_, K, V> {}

impl<K, V> Clone for MapIter<'_, K, V> {
    fn clone(&self) -> Self {
        Self { view: self.view }
    }
}

impl<K, V> fmt::Debug for MapView<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapView")
            .field("len", &self.left)
            .field("bytes", &self.reader.remaining())
            .finish()
    }
}

impl<K, V> fmt::Debug for MapIter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapIter").field("left", &self.view.left).finish()
    }
}

impl<'frame, K, V> DeserializeValue<'frame> for MapView<'frame, K, V>
where
    K: DeserializeValue<'frame>,
    V: DeserializeValue<'frame>,
{
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        let (key, value) = map_types::<Self>(typ)?;
        K::type_check(key)?;
        V::type_check(value)
    }

    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        let (key_typ, value_typ) = map_types::<Self>(typ)?;
        let mut reader = Reader::new(cell.unwrap_or_default());
        let left = match cell {
            Some(_) => read_count(&mut reader, 8)?, // 8: the lengths of key and value
            None => 0,
        };
        Ok(MapView { key_typ, value_typ, reader, left, entry: PhantomData })
    }
}

fn map_types<T>(typ: &ColumnType) -> Result<(&ColumnType, &ColumnType), TypeMismatch> {
    match typ {
        ColumnType::Map(entry) => Ok((&entry.0, &entry.1)),
        _ => Err(TypeMismatch::of::<T>(typ)),
    }
}

// ---- owned collections: each allocates ----

/// Allocates. Accepts lists, sets and vectors.
impl<'frame, T: DeserializeValue<'frame>> DeserializeValue<'frame> for Vec<T> {
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        ListView::<T>::type_check(typ)
    }

    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        let view = ListView::<T>::deserialize(typ, cell)?;
        let mut elements = Vec::with_capacity(view.room());
        view.read_all(|element| elements.push(element))?;
        Ok(elements)
    }
}

fn set_element<T>(typ: &ColumnType) -> Result<&ColumnType, TypeMismatch> {
    match typ {
        ColumnType::Set(element) => Ok(element),
        _ => Err(TypeMismatch::of::<T>(typ)), // a list would lose its order and its duplicates
    }
}

/// Allocates. Accepts sets only.
impl<'frame, T, S> DeserializeValue<'frame> for HashSet<T, S>
where
    T: DeserializeValue<'frame> + Eq + Hash,
    S: BuildHasher + Default,
{
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        T::type_check(set_element::<Self>(typ)?)
    }

    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        let view = ListView::<T>::deserialize(typ, cell)?;
        let mut elements = HashSet::with_capacity_and_hasher(view.room(), S::default());
        view.read_all(|element| {
            elements.insert(element);
        })?;
        Ok(elements)
    }
}

/// Allocates. Accepts sets only.
impl<'frame, T: DeserializeValue<'frame> + Ord> DeserializeValue<'frame> for BTreeSet<T> {
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        T::type_check(set_element::<Self>(typ)?)
    }

    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        ListView::<T>::deserialize(typ, cell)?.into_iter().collect()
    }
}

/// Allocates.
impl<'frame, K, V, S> DeserializeValue<'frame> for HashMap<K, V, S>
where
    K: DeserializeValue<'frame> + Eq + Hash,
    V: DeserializeValue<'frame>,
    S: BuildHasher + Default,
{
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        MapView::<K, V>::type_check(typ)
    }

    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        let view = MapView::<K, V>::deserialize(typ, cell)?;
        let room = view.len().min(COLLECTION_RESERVE_MAX);
        let mut entries = HashMap::with_capacity_and_hasher(room, S::default());
        view.read_all(|key, value| {
            entries.insert(key, value);
        })?;
        Ok(entries)
    }
}

/// Allocates.
impl<'frame, K, V> DeserializeValue<'frame> for BTreeMap<K, V>
where
    K: DeserializeValue<'frame> + Ord,
    V: DeserializeValue<'frame>,
{
    fn type_check(typ: &ColumnType) -> Result<(), TypeMismatch> {
        MapView::<K, V>::type_check(typ)
    }

    fn deserialize(
        typ: &'frame ColumnType,
        cell: Option<&'frame [u8]>,
    ) -> Result<Self, DeserializeError> {
        MapView::<K, V>::deserialize(typ, cell)?.into_iter().collect()
    }
}
