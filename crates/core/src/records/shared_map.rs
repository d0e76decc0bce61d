//! A sorted map whose clones share their entries: a clone copies one pointer for
//! dozens of entries, and a change copies only the part that it touches.
//!
//! [`crate::records::open::Open`] is cloned for every round of the dispatcher, and
//! between two rounds few of its records change.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Index;
use std::slice;
use std::sync::Arc;

/// The most entries of one part.
const PART: usize = 64;

type Entry<K, V> = Arc<(K, V)>;
type Part<K, V> = Arc<Vec<Entry<K, V>>>;

/// A sorted map with cheap clones.
pub struct SharedMap<K, V> {
    /// In the order of their keys. No part is empty.
    parts: Vec<Part<K, V>>,
    len: usize,
}

impl<K, V> SharedMap<K, V> {
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the entries in the order of their keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter { parts: self.parts.iter(), front: [].iter(), back: [].iter() }
    }

    /// Returns the keys in their order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + Clone {
        self.iter().map(|(key, _)| key)
    }

    /// Returns the values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + Clone {
        self.iter().map(|(_, value)| value)
    }

    pub fn clear(&mut self) {
        self.parts.clear();
        self.len = 0;
    }
}

impl<K: Ord, V> SharedMap<K, V> {
    /// Returns where the key is, or where it would be inserted.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<(usize, usize), (usize, usize)>
    where
        K: Borrow<Q>,
    {
        let of_last = |part: &Part<K, V>| part.last().is_some_and(|entry| entry.0.borrow() < key);
        let at = self.parts.partition_point(of_last);
        let Some(part) = self.parts.get(at) else {
            // Behind every key: at the end of the last part.
            let last = self.parts.len().saturating_sub(1);
            return Err((last, self.parts.last().map_or(0, |part| part.len())));
        };
        match part.binary_search_by(|entry| entry.0.borrow().cmp(key)) {
            Ok(in_part) => Ok((at, in_part)),
            Err(in_part) => Err((at, in_part)),
        }
    }

    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let (part, at) = self.find(key).ok()?;
        Some(&self.parts[part][at].1)
    }

    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Inserts a value, in place of an earlier one with the same key.
    pub fn insert(&mut self, key: K, value: V) {
        let entry = Arc::new((key, value));
        match self.find(&entry.0) {
            Ok((part, at)) => Arc::make_mut(&mut self.parts[part])[at] = entry,
            Err((part, at)) => {
                self.len += 1;
                self.insert_at(part, at, entry);
            }
        }
    }

    fn insert_at(&mut self, at: usize, in_part: usize, entry: Entry<K, V>) {
        match self.parts.get_mut(at) {
            Some(part) if part.len() < PART => Arc::make_mut(part).insert(in_part, entry),
            // New keys are usually the greatest: the full parts before them stay full.
            Some(part) if in_part < part.len() => {
                let part = Arc::make_mut(part);
                let mut rest = part.split_off(part.len() / 2);
                match in_part.checked_sub(part.len()) {
                    Some(in_rest) => rest.insert(in_rest, entry),
                    None => part.insert(in_part, entry),
                }
                self.parts.insert(at + 1, Arc::new(rest));
            }
            Some(_) => self.parts.insert(at + 1, Arc::new(vec![entry])),
            None => self.parts.push(Arc::new(vec![entry])),
        }
    }
}

impl<K: Ord, V: Clone> SharedMap<K, V> {
    /// Returns a value to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q> + Clone,
    {
        let (part, at) = self.find(key).ok()?;
        let entry = &mut Arc::make_mut(&mut self.parts[part])[at];
        Some(&mut Arc::make_mut(entry).1)
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (at, in_part) = self.find(key).ok()?;
        self.len -= 1;
        let part = Arc::make_mut(&mut self.parts[at]);
        let entry = part.remove(in_part);
        // Small neighbours become one part, so that there are never many small ones.
        let left = part.len();
        let next = self.parts.get(at + 1).map_or(PART, |next| next.len());
        if left == 0 {
            self.parts.remove(at);
        } else if left + next <= PART / 2 {
            let next = self.parts.remove(at + 1);
            Arc::make_mut(&mut self.parts[at]).extend(next.iter().cloned());
        }
        Some(Arc::try_unwrap(entry).map_or_else(|entry| entry.1.clone(), |(_, value)| value))
    }

    /// Returns copies of the values in the order of their keys.
    pub fn into_values(self) -> impl Iterator<Item = V> {
        self.parts.into_iter().flat_map(|part| part.iter().map(|entry| entry.1.clone()).collect::<Vec<_>>())
    }
}

/// The entries of a [`SharedMap`] in the order of their keys.
#[derive(Debug)]
pub struct Iter<'a, K, V> {
    parts: slice::Iter<'a, Part<K, V>>,
    front: slice::Iter<'a, Entry<K, V>>,
    back: slice::Iter<'a, Entry<K, V>>,
}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Self { parts: self.parts.clone(), front: self.front.clone(), back: self.back.clone() }
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.front.next() {
                return Some((&entry.0, &entry.1));
            }
            match self.parts.next() {
                Some(part) => self.front = part.iter(),
                None => return self.back.next().map(|entry| (&entry.0, &entry.1)),
            }
        }
    }

    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, first: B, mut fold: F) -> B {
        let mut folded = first;
        let parts = self.parts.flat_map(|part| part.iter());
        for entry in self.front.chain(parts).chain(self.back) {
            folded = fold(folded, (&entry.0, &entry.1));
        }
        folded
    }
}

impl<K, V> DoubleEndedIterator for Iter<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.back.next_back() {
                return Some((&entry.0, &entry.1));
            }
            match self.parts.next_back() {
                Some(part) => self.back = part.iter(),
                None => return self.front.next_back().map(|entry| (&entry.0, &entry.1)),
            }
        }
    }
}

impl<K, V> Clone for SharedMap<K, V> {
    fn clone(&self) -> Self {
        Self { parts: self.parts.clone(), len: self.len }
    }
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self { parts: Vec::new(), len: 0 }
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Ord + Borrow<Q>, V, Q: Ord + ?Sized> Index<&Q> for SharedMap<K, V> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        let Ok((part, at)) = self.find(key) else { panic!("the map does not have this key") };
        &self.parts[part][at].1
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SharedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        entries.into_iter().for_each(|(key, value)| map.insert(key, value));
        map
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Act {
        Insert(u16, u32),
        Remove(u16),
        Change(u16, u32),
        Keep,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            4 => (0..300_u16, any::<u32>()).prop_map(|(key, value)| Act::Insert(key, value)),
            2 => (0..300_u16).prop_map(Act::Remove),
            1 => (0..300_u16, any::<u32>()).prop_map(|(key, value)| Act::Change(key, value)),
            1 => Just(Act::Keep),
        ];
        prop::collection::vec(act, 0..800)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_holds_what_a_sorted_map_holds_and_clones_stay_as_they_were(acts in acts()) {
            let mut shared = SharedMap::default();
            let mut sorted = BTreeMap::new();
            let mut kept = Vec::new();
            for act in acts {
                match act {
                    Act::Insert(key, value) => {
                        shared.insert(key, value);
                        sorted.insert(key, value);
                    }
                    Act::Remove(key) => prop_assert_eq!(shared.remove(&key), sorted.remove(&key)),
                    Act::Change(key, value) => {
                        prop_assert_eq!(shared.get(&key), sorted.get(&key));
                        if let (Some(one), Some(other)) = (shared.get_mut(&key), sorted.get_mut(&key)) {
                            *one = value;
                            *other = value;
                        }
                    }
                    Act::Keep => kept.push((shared.clone(), sorted.clone())),
                }
                prop_assert_eq!(shared.len(), sorted.len());
            }
            kept.push((shared, sorted));
            for (shared, sorted) in kept {
                prop_assert!(shared.iter().eq(sorted.iter()));
                prop_assert!(shared.keys().rev().eq(sorted.keys().rev()));
                prop_assert!(shared.parts.iter().all(|part| !part.is_empty() && part.len() <= PART));
            }
        }
    }

    #[test]
    fn growing_keys_fill_every_part() {
        let map: SharedMap<u32, ()> = (0..1000).map(|key| (key, ())).collect();
        assert_eq!(map.parts.len(), 1000_usize.div_ceil(PART));
    }

    #[test]
    fn a_change_leaves_the_other_parts_shared() {
        let map: SharedMap<u32, u32> = (0..1000).map(|key| (key, key)).collect();
        let mut changed = map.clone();
        changed.insert(500, 7);
        let shared = map.parts.iter().zip(&changed.parts).filter(|(one, other)| Arc::ptr_eq(one, other));
        assert_eq!(shared.count(), map.parts.len() - 1);
        assert_eq!((map[&500], changed[&500]), (500, 7));
    }
}
