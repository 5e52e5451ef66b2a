//! What waits for what: components of a plan, steps of a proposal.

use std::collections::{BTreeMap, VecDeque};

/// Puts every node after all those that it waits for; nodes that are ready at the same time keep their own order.
///
/// # Errors
///
/// A node that can never begin: it waits for itself, however many steps around, or for what is not there.
pub(crate) fn order<N: Ord + Copy>(waits: &BTreeMap<N, Vec<N>>) -> Result<Vec<N>, N> {
    let mut missing: BTreeMap<N, usize> = BTreeMap::new();
    let mut followers: BTreeMap<N, Vec<N>> = BTreeMap::new();
    let mut ready = VecDeque::new();
    for (node, firsts) in waits {
        if firsts.is_empty() {
            ready.push_back(*node);
        } else {
            missing.insert(*node, firsts.len());
        }
        for first in firsts {
            followers.entry(*first).or_default().push(*node);
        }
    }
    let mut order = Vec::with_capacity(waits.len());
    while let Some(node) = ready.pop_front() {
        order.push(node);
        for follower in followers.remove(&node).unwrap_or_default() {
            let left = missing.entry(follower).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 {
                missing.remove(&follower);
                ready.push_back(follower);
            }
        }
    }
    match missing.keys().next() {
        Some(node) => Err(*node),
        None => Ok(order),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn waits(edges: &[(u8, &[u8])]) -> BTreeMap<u8, Vec<u8>> {
        edges.iter().map(|(node, firsts)| (*node, firsts.to_vec())).collect()
    }

    #[test]
    fn what_waits_for_itself_or_for_nothing_known_is_named() {
        assert_eq!(order(&waits(&[(1, &[1])])), Err(1));
        assert_eq!(order(&waits(&[(1, &[2]), (2, &[3]), (3, &[1]), (4, &[])])), Err(1));
        assert_eq!(order(&waits(&[(1, &[]), (2, &[9])])), Err(2));
    }

    #[test]
    fn the_same_node_twice_is_waited_for_once() {
        assert_eq!(order(&waits(&[(1, &[2, 2]), (2, &[])])), Ok(vec![2, 1]));
    }

    proptest! {
        /// Edges only lead to smaller numbers, so there is always an order.
        #[test]
        fn everything_comes_after_what_it_waits_for(edges in prop::collection::vec((0u8..40, 0u8..40), 0..200)) {
            let mut waits: BTreeMap<u8, Vec<u8>> = (0..40).map(|node| (node, Vec::new())).collect();
            for (a, b) in edges.into_iter().filter(|(a, b)| a != b) {
                waits.entry(a.max(b)).or_default().push(a.min(b));
            }
            let found = order(&waits).unwrap();
            prop_assert_eq!(found.len(), 40);
            let place = |node: u8| found.iter().position(|one| *one == node);
            for (node, firsts) in &waits {
                prop_assert!(firsts.iter().all(|first| place(*first) < place(*node)));
            }
        }
    }
}
