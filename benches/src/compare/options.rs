use std::path::PathBuf;

use super::catalog::{self, Contender};
use crate::cell::{self, Cell};

/// The arguments of a run.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) cell: Option<Cell>,
    only: Vec<String>,
    pub(super) rounds: usize,
    pub(super) millis: u64,
    figures: Option<Figures>,
    profiles: Option<PathBuf>,
    pub(super) list: bool,
}

/// A set of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Figures(u8);

impl Figures {
    pub(super) const TIME: Self = Self(1);
    pub(super) const ALLOCATIONS: Self = Self(2);
    pub(super) const INSTRUCTIONS: Self = Self(4);
    pub(super) const MEMORY: Self = Self(8);
    pub(super) const LAYERS: Self = Self(16);
    pub(super) const PICKS: Self = Self(32);

    const NAMED: [(&'static str, Self); 6] = [
        ("time", Self::TIME),
        ("allocations", Self::ALLOCATIONS),
        ("instructions", Self::INSTRUCTIONS),
        ("memory", Self::MEMORY),
        ("layers", Self::LAYERS),
        ("picks", Self::PICKS),
    ];

    const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn parse(names: &str) -> Result<Self, String> {
        names.split(',').try_fold(Self(0), |figures, name| {
            let named = Self::NAMED.iter().find(|(known, _)| *known == name);
            let (_, figure) = named.ok_or_else(|| format!("{name:?} is no figure"))?;
            Ok(figures.with(*figure))
        })
    }
}

impl Options {
    pub(super) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            cell: None,
            only: Vec::new(),
            rounds: 7,
            millis: 300,
            figures: None,
            profiles: None,
            list: false,
        };
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            match &*name {
                // Given by cargo.
                "--bench" => continue,
                "--list" => {
                    options.list = true;
                    continue;
                }
                _ => {}
            }
            let value = arguments.next();
            let value = value.ok_or_else(|| format!("{name} needs a value"))?;
            options
                .set(&name, &value)
                .map_err(|error| format!("{name} {value}: {error}"))?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let number = || value.parse::<usize>().ok().filter(|number| *number > 0);
        let number = || number().ok_or_else(|| "a number from 1 was expected".to_owned());
        let mut cell = self.cell.unwrap_or_default();
        match name {
            "--cell" => {
                let Cell {
                    callers, endpoints, ..
                } = value.parse()?;
                (cell.callers, cell.endpoints) = (callers, endpoints);
            }
            "--shape" => cell.shape = value.parse()?,
            "--workers" => cell.workers = number()?,
            "--server" => cell.server = value.parse()?,
            _ => {
                return match name {
                    "--only" => self.choose(value),
                    "--rounds" => number().map(|rounds| self.rounds = rounds),
                    "--millis" => number().map(|millis| self.millis = millis as u64),
                    "--figures" => Figures::parse(value).map(|set| self.figures = Some(set)),
                    "--profiles" => {
                        self.profiles = Some(value.into());
                        Ok(())
                    }
                    _ => Err("it is not known here".to_owned()),
                };
            }
        }
        self.cell = Some(cell);
        Ok(())
    }

    fn choose(&mut self, names: &str) -> Result<(), String> {
        for name in names.split(',') {
            if !catalog::ALL.iter().any(|contender| contender.name == name) {
                return Err(format!(
                    "no contender is called {name:?}; --list says who is"
                ));
            }
            self.only.push(name.to_owned());
        }
        Ok(())
    }

    pub(super) fn cells(&self) -> Vec<Cell> {
        if !self.measures(Figures::TIME) && !self.measures(Figures::ALLOCATIONS) {
            return Vec::new();
        }
        match self.cell {
            Some(cell) => vec![cell],
            None => cell::ALL.to_vec(),
        }
    }

    pub(super) fn has(&self, contender: &Contender) -> bool {
        self.only.is_empty() && (contender.ranked || self.measures(Figures::MEMORY))
            || self.only.iter().any(|name| name == contender.name)
    }

    /// Whether a figure was asked for. Without saying so it is every one, or, of a single cell,
    /// what takes seconds.
    pub(super) const fn measures(&self, figure: Figures) -> bool {
        let all = match (self.figures, &self.cell) {
            (Some(figures), _) => figures,
            (None, Some(_)) => Figures::TIME.with(Figures::ALLOCATIONS),
            (None, None) => Figures(u8::MAX),
        };
        all.0 & figure.0 != 0
    }

    /// Where profiles stay.
    pub(super) fn profiles(&self) -> PathBuf {
        let usual = || super::folder().join("target/profiles");
        self.profiles.clone().unwrap_or_else(usual)
    }

    /// Whether nothing is left out.
    pub(super) const fn is_whole(&self) -> bool {
        self.cell.is_none() && self.only.is_empty() && self.figures.is_none()
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_bench_harness::Shape;

    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn nothing_said_is_everything() {
        let options = parse("--bench").unwrap();
        assert!(options.is_whole());
        assert_eq!(options.cells().len(), cell::ALL.len());
        assert!(options.measures(Figures::MEMORY));
        assert!(catalog::ALL.iter().all(|contender| options.has(contender)));
    }

    #[test]
    fn a_cell_is_a_part_that_takes_seconds() {
        let options = parse("--cell 1x1 --shape stream --only h2,evenkeel").unwrap();
        assert!(!options.is_whole());
        let cell = Cell {
            callers: 1,
            endpoints: 1,
            shape: Shape::Stream,
            ..Cell::default()
        };
        assert_eq!(options.cells(), [cell]);
        assert!(!options.measures(Figures::INSTRUCTIONS));
        let chosen = catalog::ALL
            .iter()
            .filter(|contender| options.has(contender));
        assert_eq!(chosen.count(), 2);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for line in [
            "--cell 64",
            "--only nobody",
            "--rounds 0",
            "--figures speed",
            "--fast 1",
            "--millis",
        ] {
            parse(line).unwrap_err();
        }
    }
}
