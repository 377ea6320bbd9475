//! The last offset of every key of a log's dirty part, in memory of a size that is given (`SkimpyOffsetMap`).
//!
//! ```text
//!   | first 16 bytes of the key's SHA-256 | last offset i64 |    24 bytes a place; open addressing, one place after the other
//! ```
//! Keys themselves are not kept: two that share 16 bytes would be one. Kafka takes MD5, for which such pairs can be made by
//! hand; for SHA-256, cut to 128 bits, they cannot.

use sha2::{Digest, Sha256};

const HASH_LEN: usize = 16;
const FREE: i64 = -1;
/// Places of the smallest map.
const PLACES_MIN: usize = 16;

#[derive(Clone, Copy)]
struct Place {
    hash: [u8; HASH_LEN],
    offset: i64,
}

/// Bytes of one place.
pub(crate) const PLACE_BYTES: usize = size_of::<Place>();
const _: () = assert!(PLACE_BYTES == 24);

/// There is no room for another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// See the head of the file.
pub(crate) struct KeyMap {
    places: Vec<Place>,
    used: usize,
    used_max: usize,
    /// The last offset that was taken into account: nothing is known of keys behind it.
    latest: i64,
}

impl KeyMap {
    /// A map of `bytes_max` bytes, or of fewer where `records` have room in them. `load` is the part of its places that is used.
    pub(crate) fn new(records: u64, bytes_max: usize, load: f64, first_offset: i64) -> Self {
        let load = load.clamp(0.1, 0.95);
        let wanted = (records as f64 / load).ceil() as usize;
        let places = wanted.saturating_add(1).min(bytes_max / PLACE_BYTES).max(PLACES_MIN);
        let used_max = ((places as f64 * load) as usize).clamp(1, places - 1);
        let free = Place { hash: [0; HASH_LEN], offset: FREE };
        Self { places: vec![free; places], used: 0, used_max, latest: first_offset - 1 }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.used
    }

    /// The last offset that was taken into account.
    pub(crate) fn latest(&self) -> i64 {
        self.latest
    }

    /// Everything up to here was taken into account.
    pub(crate) fn seen(&mut self, offset: i64) {
        self.latest = self.latest.max(offset);
    }

    /// The last offset of a key is this one, until a later one comes.
    pub(crate) fn put(&mut self, key: &[u8], offset: i64) -> Result<(), Full> {
        let hash = hash_of(key);
        let at = self.find(&hash);
        if self.places[at].offset == FREE {
            if self.used == self.used_max {
                return Err(Full);
            }
            self.used += 1;
        }
        self.places[at] = Place { hash, offset };
        self.seen(offset);
        Ok(())
    }

    /// The last offset of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<i64> {
        let place = self.places[self.find(&hash_of(key))];
        (place.offset != FREE).then_some(place.offset)
    }

    /// The place of a key, or the free one where it belongs. There is always a free one.
    fn find(&self, hash: &[u8; HASH_LEN]) -> usize {
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        let places = self.places.len();
        let mut at = (u64::from_be_bytes(first) % places as u64) as usize;
        loop {
            let place = &self.places[at];
            if place.offset == FREE || place.hash == *hash {
                return at;
            }
            at = if at + 1 == places { 0 } else { at + 1 };
        }
    }
}

fn hash_of(key: &[u8]) -> [u8; HASH_LEN] {
    let digest = Sha256::digest(key);
    let mut hash = [0; HASH_LEN];
    hash.copy_from_slice(&digest[..HASH_LEN]);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_offset_of_each_key_is_kept() {
        let mut map = KeyMap::new(1_000, 1 << 20, 0.9, 0);
        for offset in 0..3_000_i64 {
            assert_eq!(map.put(&(offset % 1_000).to_be_bytes(), offset), Ok(()));
        }
        assert_eq!((map.len(), map.latest()), (1_000, 2_999));
        for key in 0..1_000_i64 {
            assert_eq!(map.get(&key.to_be_bytes()), Some(2_000 + key));
        }
        assert_eq!(map.get(b"no such key"), None);
        assert_eq!(map.put(b"", 3_000), Ok(()), "an empty key is a key");
        assert_eq!(map.get(b""), Some(3_000));
    }

    #[test]
    fn a_full_map_takes_known_keys_and_no_others() {
        let mut map = KeyMap::new(u64::MAX, 100 * PLACE_BYTES, 0.9, 5);
        assert_eq!((map.places.len(), map.latest()), (100, 4));
        let taken = (0..100_i64).take_while(|key| map.put(&key.to_be_bytes(), *key).is_ok()).count();
        assert_eq!((taken, map.latest()), (90, 89));
        assert_eq!(map.put(&0_i64.to_be_bytes(), 100), Ok(()));
        assert_eq!((map.put(b"new", 101), map.latest()), (Err(Full), 100));
    }

    #[test]
    fn it_is_no_larger_than_the_records_need() {
        assert_eq!(KeyMap::new(9, 1 << 30, 0.9, 0).places.len(), PLACES_MIN);
        assert_eq!(KeyMap::new(900, 1 << 30, 0.9, 0).places.len(), 1_001);
        assert!(KeyMap::new(900, 0, 0.9, 0).used_max >= 1, "something always fits");
    }
}
