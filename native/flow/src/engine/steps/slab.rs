//! Values by a key that names no other value later.

/// Values in places that are used again; a key names one value only.
pub struct Slab<T> {
    places: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { places: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub fn insert(&mut self, value: T) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            #[allow(clippy::cast_possible_truncation)] // bounded by what the shard has in hand
            let index = self.places.len() as u32 - 1;
            index
        });
        let place = &mut self.places[index as usize];
        place.1 = Some(value);
        u64::from(place.0) << 32 | u64::from(index)
    }

    fn place(&mut self, key: u64) -> Option<&mut (u32, Option<T>)> {
        self.places.get_mut(index(key)).filter(|(generation, _)| u64::from(*generation) == key >> 32)
    }

    pub fn get(&self, key: u64) -> Option<&T> {
        let (generation, value) = self.places.get(index(key))?;
        value.as_ref().filter(|_| u64::from(*generation) == key >> 32)
    }

    pub fn get_mut(&mut self, key: u64) -> Option<&mut T> {
        self.place(key)?.1.as_mut()
    }

    pub fn remove(&mut self, key: u64) -> Option<T> {
        let place = self.place(key)?;
        let value = place.1.take()?;
        place.0 = place.0.wrapping_add(1);
        #[allow(clippy::cast_possible_truncation)] // it came from there
        self.free.push(index(key) as u32);
        Some(value)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

#[allow(clippy::cast_possible_truncation)] // the lower half
fn index(key: u64) -> usize {
    key as u32 as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_value_and_no_later_one() {
        let mut slab = Slab::default();
        let first = slab.insert("a");
        let other = slab.insert("b");
        assert_eq!((slab.len(), slab.remove(first), slab.remove(first)), (2, Some("a"), None));
        let second = slab.insert("c");
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!((slab.get_mut(second).copied(), slab.get_mut(other).copied()), (Some("c"), Some("b")));
    }
}
