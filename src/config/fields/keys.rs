//! Which keys a mapping may have, and what people read about them. The parser and the reference of the book have both from
//! here; knows no value.

/// Which keys a mapping may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    pub(crate) known: &'static [Key],
    /// Keys that belong in another place, and which.
    pub(crate) elsewhere: &'static [(&'static str, &'static str)],
}

impl Keys {
    pub(crate) const fn of(known: &'static [Key]) -> Self {
        Self { known, elsewhere: &[] }
    }

    /// In the order in which people read them.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.known.iter().map(|key| key.name).collect()
    }
}

/// A key. Texts are Markdown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// What holds without it: a value in backticks, or words.
    pub(crate) default: &'static str,
    pub(crate) means: &'static str,
    pub(crate) below: Below,
}

/// What its value may hold in turn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Below {
    /// No keys of ours.
    Nothing,
    /// These keys.
    Mapping(&'static Keys),
    /// A list, whose items have these keys.
    List(&'static Keys),
    /// By names that the user chooses, mappings with these keys.
    Named(&'static Keys),
}

impl Key {
    /// What must be there.
    pub(crate) const REQUIRED: &'static str = "required";

    pub(crate) const fn of(name: &'static str, default: &'static str, means: &'static str) -> Self {
        Self {
            name,
            default,
            means,
            below: Below::Nothing,
        }
    }

    pub(crate) const fn with(self, below: Below) -> Self {
        Self { below, ..self }
    }
}
