//! What the figures may be at most: a file of one line each, which is written by `--record`.

use std::fmt;
use std::str::FromStr;

use crate::machine::Machine;

/// What one call or pick costs, or may cost.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    /// What is called, and how.
    pub(crate) name: String,
    /// Instructions in user space. Without valgrind there is no number.
    pub(crate) instructions: Option<f64>,
    /// Allocations, to a tenth: a table that grows now and then is not what a call costs.
    pub(crate) allocations: f64,
}

/// All budgets, and what they were counted on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Budgets {
    pub(crate) machine: Machine,
    pub(crate) figures: Vec<Figure>,
}

/// What two counts of the same program may differ by, and what a change may cost unnoticed.
const SLACK: f64 = 1.03;

const HEAD: &str = "\
# What a call and a pick may cost at most; how to read and to change it is in CONTRIBUTING.md.
# Written by `./test --record-budgets`: what was counted, and 3 % more instructions.
";

impl Budgets {
    /// The budgets that follow these: lower where less was counted, higher where more was than
    /// they allow. The second list says what is higher or new, in words for the changelog.
    pub(crate) fn next(&self, machine: Machine, counted: &[Figure]) -> (Self, Vec<String>) {
        let mut raised = Vec::new();
        let elsewhere = machine != self.machine;
        if elsewhere {
            // Other instructions are neither better nor worse.
            raised.push(format!("all are those of {machine}"));
        }
        let mut figures = Vec::new();
        for figure in counted {
            let held = Figure {
                instructions: figure.instructions.map(|count| (count * SLACK).ceil()),
                ..figure.clone()
            };
            let figure = match self.find(&figure.name) {
                _ if elsewhere => held,
                Some(old) => old.next(figure, held, &mut raised),
                None => {
                    raised.push(format!("`{}`, which is new", figure.name));
                    held
                }
            };
            figures.push(figure);
        }
        (Self { machine, figures }, raised)
    }

    /// The one of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|budget| budget.name == name)
    }
}

impl Figure {
    fn next(&self, counted: &Self, held: Self, raised: &mut Vec<String>) -> Self {
        let name = &self.name;
        let mut next = held;
        if let (Some(was), Some(count), Some(now)) =
            (self.instructions, counted.instructions, next.instructions)
        {
            if count > was {
                raised.push(format!("`{name}` from {was} to {now} instructions"));
            } else {
                next.instructions = Some(now.min(was));
            }
        }
        let (was, now) = (self.allocations, next.allocations);
        if now > was {
            raised.push(format!("`{name}` from {was:.1} to {now:.1} allocations"));
        }
        next
    }
}

/// What changes with every budget, for the changelog: 32 bits of FNV-1a. It keeps nobody from
/// anything but forgetting.
pub(crate) fn digest(text: &str) -> String {
    let hash = text.lines().flat_map(|line| line.bytes().chain([b'\n']));
    let hash = hash.fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    format!("{hash:08x}")
}

impl fmt::Display for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, figures } = self;
        writeln!(f, "{HEAD}{machine}\n")?;
        for figure in figures {
            let instructions = figure.instructions.unwrap_or_default();
            let (name, allocations) = (&figure.name, figure.allocations);
            writeln!(f, "{name:40} {instructions:8} {allocations:6.1}")?;
        }
        Ok(())
    }
}

impl FromStr for Budgets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let machine = lines.next().ok_or("the budgets are empty")?.parse()?;
        let figures = lines.map(|line| {
            let broken = || format!("not a name, instructions and allocations: {line}");
            let (rest, allocations) = line.rsplit_once(' ').ok_or_else(broken)?;
            let (name, instructions) = rest.trim_end().rsplit_once(' ').ok_or_else(broken)?;
            let number = |text: &str| text.parse::<f64>().map_err(|_| broken());
            Ok(Figure {
                name: name.trim_end().to_owned(),
                instructions: Some(number(instructions)?),
                allocations: number(allocations)?,
            })
        });
        Ok(Self {
            machine,
            figures: figures.collect::<Result<_, String>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(rustc: &str) -> Machine {
        format!("rustc {rustc}, x86_64").parse().unwrap()
    }

    fn figure(name: &str, instructions: f64, allocations: f64) -> Figure {
        Figure {
            name: name.to_owned(),
            instructions: Some(instructions),
            allocations,
        }
    }

    fn budgets() -> Budgets {
        let figures = vec![figure("a call", 1030.0, 4.0), figure("a pick", 30.0, 0.0)];
        Budgets {
            machine: machine("1.90"),
            figures,
        }
    }

    #[test]
    fn the_file_says_what_the_budgets_are() {
        assert_eq!(budgets().to_string().parse(), Ok(budgets()));
        "rustc".parse::<Budgets>().unwrap_err();
        "".parse::<Budgets>().unwrap_err();
        format!("{}no numbers here", budgets())
            .parse::<Budgets>()
            .unwrap_err();
    }

    #[test]
    fn what_is_within_its_budget_is_not_raised() {
        let counted = [figure("a call", 1029.0, 4.0), figure("a pick", 30.0, 0.0)];
        let (next, raised) = budgets().next(machine("1.90"), &counted);
        assert_eq!((next, raised), (budgets(), vec![]));
    }

    #[test]
    fn what_costs_less_gets_a_lower_budget() {
        let counted = [figure("a call", 900.0, 3.0), figure("a pick", 30.0, 0.0)];
        let (next, raised) = budgets().next(machine("1.90"), &counted);
        assert_eq!(next.figures[0], figure("a call", 927.0, 3.0));
        assert_eq!(raised, Vec::<String>::new());
    }

    #[test]
    fn what_is_raised_is_said() {
        let counted = [figure("a call", 1100.0, 5.0), figure("a drop", 1.0, 0.0)];
        let (next, raised) = budgets().next(machine("1.90"), &counted);
        assert_eq!(next.figures[0], figure("a call", 1133.0, 5.0));
        let said = [
            "`a call` from 1030 to 1133 instructions",
            "`a call` from 4.0 to 5.0 allocations",
            "`a drop`, which is new",
        ];
        assert_eq!(raised, said);
    }

    #[test]
    fn another_compiler_has_budgets_of_its_own_and_that_is_said() {
        let counted = [figure("a call", 900.0, 4.0), figure("a pick", 40.0, 0.0)];
        let (next, raised) = budgets().next(machine("1.91"), &counted);
        assert_eq!(next.figures[1], figure("a pick", 42.0, 0.0));
        assert_eq!(raised.len(), 1, "{raised:?}");
    }

    #[test]
    fn every_change_of_a_budget_changes_the_digest() {
        let mut raised = budgets();
        raised.figures[1].allocations = 1.0;
        assert_ne!(digest(&raised.to_string()), digest(&budgets().to_string()));
        let windows = budgets().to_string().replace('\n', "\r\n");
        assert_eq!(digest(&windows), digest(&budgets().to_string()));
    }
}
