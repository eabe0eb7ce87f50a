//! Compares what was counted with the budgets.

use std::fmt::Write as _;

use crate::budget::{Budgets, Figure};

/// What is said, and whether it is a failure.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// Every figure beside its budget.
    pub(crate) table: String,
    /// What is above its budget, and what to do about it.
    pub(crate) exceeded: Option<String>,
}

/// A budget this much above its figure would let too much through.
const LOOSE: f64 = 1.05;

/// Compares each figure with the budget of its name; one without the other is a failure as well.
pub(crate) fn compare(budgets: &Budgets, counted: &[Figure]) -> Verdict {
    let mut table = format!(
        "{:40} {:>12} {:>8} {:>12} {:>8}\n",
        "", "instructions", "budget", "allocations", "budget"
    );
    let mut exceeded = Vec::new();
    let mut loose = Vec::new();
    for figure in counted {
        let name = &figure.name;
        let Some(budget) = budgets.find(name) else {
            exceeded.push(format!("`{name}` has no budget"));
            continue;
        };
        let instructions = figure.instructions.zip(budget.instructions);
        let cell = instructions.map_or("skipped".to_owned(), |(count, _)| format!("{count:.1}"));
        let most = budget.instructions.unwrap_or_default();
        let (count, allowed) = (figure.allocations, budget.allocations);
        let _ = writeln!(
            table,
            "{name:40} {cell:>12} {most:8} {count:12.1} {allowed:8.1}"
        );
        if let Some((count, most)) = instructions {
            if count > most {
                let percent = (count / most - 1.0) * 100.0;
                exceeded.push(format!(
                    "`{name}` takes {count:.1} instructions: {percent:.1} % above its budget of {most}"
                ));
            } else if count * LOOSE < most && most - count > 2.0 {
                loose.push(name.as_str());
            }
        }
        if count > allowed {
            exceeded.push(format!(
                "`{name}` makes {count:.1} allocations: its budget is {allowed:.1}"
            ));
        } else if count < allowed {
            loose.push(name);
        }
    }
    for budget in &budgets.figures {
        if !counted.iter().any(|figure| figure.name == budget.name) {
            exceeded.push(format!(
                "`{}` has a budget, and is not counted",
                budget.name
            ));
        }
    }
    loose.dedup();
    if !loose.is_empty() {
        let loose = loose.join("`, `");
        let _ = writeln!(
            table,
            "\nwell below the budget: `{loose}`; lower it: ./test --record-budgets"
        );
    }
    Verdict {
        table,
        exceeded: (!exceeded.is_empty()).then(|| {
            let exceeded = exceeded.join("\n  ");
            format!(
                "\nthe call path costs more than benches/guard/budgets allow:\n  {exceeded}\n\n\
                 Lower the cost; benches/README.md says how to see where it is. If it is worth it,\n\
                 raise the budget, with a line in CHANGELOG.md that says why:\n\
                 \n    ./test --record-budgets --because REASON"
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGETS: &str = "rustc 1.90, x86_64\na call  1000 4.0\na pick  20 0.0\n";

    fn compared(call: (Option<f64>, f64)) -> Verdict {
        let figure = |name: &str, (instructions, allocations)| Figure {
            name: name.to_owned(),
            instructions,
            allocations,
        };
        let counted = [figure("a call", call), figure("a pick", (Some(19.6), 0.0))];
        compare(&BUDGETS.parse().unwrap(), &counted)
    }

    #[test]
    fn what_is_within_its_budget_passes() {
        let verdict = compared((Some(999.9), 4.0));
        assert_eq!(verdict.exceeded, None);
        assert!(!verdict.table.contains("well below"), "{}", verdict.table);
    }

    #[test]
    fn what_is_above_its_budget_is_named_with_both_numbers() {
        let exceeded = compared((Some(1100.0), 5.0)).exceeded.unwrap();
        let instructions = "`a call` takes 1100.0 instructions: 10.0 % above its budget of 1000";
        assert!(exceeded.contains(instructions), "{exceeded}");
        let allocations = "`a call` makes 5.0 allocations: its budget is 4.0";
        assert!(exceeded.contains(allocations), "{exceeded}");
        assert!(!exceeded.contains("a pick"), "{exceeded}");
    }

    #[test]
    fn without_valgrind_allocations_are_still_held() {
        assert_eq!(compared((None, 4.0)).exceeded, None);
        compared((None, 4.1)).exceeded.unwrap();
    }

    #[test]
    fn a_budget_well_above_is_said_to_be() {
        for call in [(Some(900.0), 4.0), (Some(990.0), 3.0)] {
            let verdict = compared(call);
            assert_eq!(verdict.exceeded, None);
            assert!(
                verdict.table.contains("budget: `a call`;"),
                "{}",
                verdict.table
            );
        }
    }

    #[test]
    fn a_figure_without_a_budget_and_a_budget_without_a_figure_fail() {
        let budgets: Budgets = BUDGETS.replace("a pick", "a peck").parse().unwrap();
        let figure = budgets.figures[0].clone();
        let exceeded = compare(&budgets, &[figure]).exceeded.unwrap();
        assert!(exceeded.contains("`a peck` has a budget"), "{exceeded}");
        let all = BUDGETS.parse::<Budgets>().unwrap().figures;
        let exceeded = compare(&budgets, &all).exceeded.unwrap();
        assert!(exceeded.contains("`a pick` has no budget"), "{exceeded}");
    }
}
