//! Places that are used again, with names that are not: the world's open visits, requests and store commands.

/// Names an occupied place; stale once the place is freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    slot: u32,
    generation: u32,
}

impl Key {
    /// As one number.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    /// The inverse of [`Key::to_bits`].
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the number")]
    pub const fn from_bits(bits: u64) -> Self {
        Self { slot: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// Places for values of one kind.
#[derive(Clone, Debug)]
pub struct Slab<T> {
    places: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Number of occupied places.
    pub const fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether no place is occupied.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a value into a place.
    pub fn insert(&mut self, value: T) -> Key {
        if let Some(slot) = self.free.pop() {
            let (generation, place) = &mut self.places[slot as usize];
            *generation = generation.wrapping_add(1);
            *place = Some(value);
            return Key { slot, generation: *generation };
        }
        self.places.push((0, Some(value)));
        Key { slot: u32::try_from(self.places.len() - 1).expect("fewer than 2^32 places"), generation: 0 }
    }

    /// The value, unless the name is stale.
    pub fn get(&self, key: Key) -> Option<&T> {
        let (generation, value) = self.places.get(key.slot as usize)?;
        if *generation == key.generation { value.as_ref() } else { None }
    }

    /// The value, unless the name is stale.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (generation, value) = self.places.get_mut(key.slot as usize)?;
        if *generation == key.generation { value.as_mut() } else { None }
    }

    /// Frees the place.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let (generation, value) = self.places.get_mut(key.slot as usize)?;
        if *generation != key.generation {
            return None;
        }
        let value = value.take()?;
        self.free.push(key.slot);
        Some(value)
    }

    /// Frees the place of a value of which nothing is wanted any more.
    pub fn clear(&mut self, key: Key) {
        if let Some((generation, value)) = self.places.get_mut(key.slot as usize)
            && *generation == key.generation
            && value.is_some()
        {
            *value = None;
            self.free.push(key.slot);
        }
    }

    /// Gives the value a new name; the old one is stale.
    pub fn rename(&mut self, key: Key) -> Option<Key> {
        self.get(key)?;
        let generation = key.generation.wrapping_add(1);
        self.places[key.slot as usize].0 = generation;
        Some(Key { slot: key.slot, generation })
    }

    /// All values with their names, by place.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.places.iter().zip(0..).filter_map(|((generation, value), slot)| {
            value.as_ref().map(|value| (Key { slot, generation: *generation }, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_or_renamed_place_does_not_answer_to_its_old_name() {
        let mut slab = Slab::default();
        let first = slab.insert('a');
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b');
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        let third = slab.rename(second).unwrap();
        assert_eq!(slab.get(second), None);
        assert_eq!(slab.get(third), Some(&'b'));
        assert_eq!(slab.iter().map(|(key, value)| (key, *value)).collect::<Vec<_>>(), [(third, 'b')]);
        assert_eq!(Key::from_bits(third.to_bits()), third);
    }
}
