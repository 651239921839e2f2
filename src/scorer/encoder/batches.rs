//! Shares texts out over the processor: in the order of their lengths, in batches whose rows stay in a core's cache.

use rayon::prelude::*;

use super::words::Tokens;
use crate::model::kernel::on_one_thread;

/// Tokens of a batch that one core computes alone: what it holds at a time stays about in its cache.
const TOKENS_A_CORE: usize = 256;
/// Tokens of a batch that all cores compute together.
const TOKENS_TOGETHER: usize = 1024;

/// `width` numbers for each text, in the texts' order, from `f`, which gives them for a batch. What `f` gives for a text
/// must not depend on the others: how they are cut into batches depends on the machine.
pub fn in_batches(texts: &[Tokens], width: usize, f: impl Fn(&[&[u32]]) -> Vec<f32> + Sync) -> Vec<f32> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    // The longest first, so that no thread is left with them at the end.
    order.sort_by_key(|&i| std::cmp::Reverse(texts[i].ids.len()));
    let total: usize = texts.iter().map(|text| text.ids.len()).sum();
    let alone = total >= 3 * TOKENS_A_CORE * rayon::current_num_threads();
    let batches = cut(&order, texts, if alone { TOKENS_A_CORE } else { TOKENS_TOGETHER });
    let batch = |places: &&[usize]| {
        let ids: Vec<&[u32]> = places.iter().map(|&i| texts[i].ids.as_slice()).collect();
        f(&ids)
    };
    let results: Vec<Vec<f32>> = match alone {
        true => batches.par_iter().with_max_len(1).map(|places| on_one_thread(|| batch(places))).collect(),
        false => batches.iter().map(batch).collect(),
    };
    let mut rows = vec![0.0; texts.len() * width];
    for (places, result) in batches.iter().zip(results) {
        for (&place, row) in places.iter().zip(result.chunks_exact(width)) {
            rows[place * width..][..width].copy_from_slice(row);
        }
    }
    rows
}

/// Runs of `order` with at most `limit` tokens each, or one text.
fn cut<'a>(order: &'a [usize], texts: &[Tokens], limit: usize) -> Vec<&'a [usize]> {
    let (mut batches, mut start, mut tokens) = (Vec::new(), 0, 0);
    for (at, &text) in order.iter().enumerate() {
        let length = texts[text].ids.len();
        if at > start && tokens + length > limit {
            batches.push(&order[start..at]);
            (start, tokens) = (at, 0);
        }
        tokens += length;
    }
    if start < order.len() {
        batches.push(&order[start..]);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_gets_its_own_numbers_back_whatever_the_batches() {
        let texts: Vec<Tokens> =
            (0..500).map(|i| Tokens { ids: vec![i; (i as usize * 37) % 90 + 1], truncated: false }).collect();
        for count in [0, 1, 3, 500] {
            let rows = in_batches(&texts[..count], 2, |batch| {
                batch.iter().flat_map(|ids| [ids[0] as f32, ids.len() as f32]).collect()
            });
            let want: Vec<f32> = texts[..count].iter().flat_map(|t| [t.ids[0] as f32, t.ids.len() as f32]).collect();
            assert_eq!(rows, want);
        }
    }

    #[test]
    fn a_text_beyond_the_limit_is_a_batch_of_its_own() {
        let texts: Vec<Tokens> =
            [900, 5, 5].map(|n| Tokens { ids: vec![0; n], truncated: false }).into_iter().collect();
        assert_eq!(cut(&[0, 1, 2], &texts, 100), [&[0][..], &[1, 2][..]]);
    }
}
