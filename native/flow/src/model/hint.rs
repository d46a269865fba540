//! "did you mean": the nearest of the words that are allowed.

/// The nearest of `words`, when it is near enough to have been meant.
#[must_use]
pub fn nearest<'w>(word: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    // Far longer words cannot be near, and comparing costs the product of the lengths.
    const MAX_LENGTH: usize = 64;
    if word.is_empty() || word.len() > MAX_LENGTH {
        return None;
    }
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    let lower = word.to_lowercase();
    words
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The end of a sentence about `word`: what was meant, or what is allowed.
#[must_use]
pub fn instead<'w>(word: &str, words: impl IntoIterator<Item = &'w str> + Clone) -> String {
    if let Some(nearest) = nearest(word, words.clone()) {
        return format!(", did you mean `{nearest}`?");
    }
    let mut all: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match all.pop() {
        None => String::new(),
        Some(last) if all.is_empty() => format!("; {last} is allowed here"),
        Some(last) => format!("; allowed here are {} and {last}", all.join(", ")),
    }
}

/// A text of the user's in a message of ours: short, on one line.
#[must_use]
pub fn quote(text: &str) -> String {
    const MAX_LENGTH: usize = 60;
    let cut: String = text.chars().take(MAX_LENGTH).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if cut.len() < text.len() { format!("`{cut}...`") } else { format!("`{cut}`") }
}
