//! Lists that are filled and emptied in every turn keep their memory.

/// Gives the memory of a list that was taken from here, and is done with, back to where it was taken from.
pub(crate) fn give_back<T>(place: &mut Vec<T>, mut done: Vec<T>) {
    if place.capacity() == 0 {
        done.clear();
        *place = done;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_and_what_was_added_meanwhile_stays() {
        let mut place = Vec::with_capacity(7);
        place.push(1);
        let taken = std::mem::take(&mut place);
        give_back(&mut place, taken);
        assert!(place.is_empty() && place.capacity() >= 7);
        let taken = std::mem::take(&mut place);
        place.push(2);
        give_back(&mut place, taken);
        assert_eq!(place, [2]);
    }
}
