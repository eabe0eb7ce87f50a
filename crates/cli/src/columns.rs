/// Lines with the cells of `rows` below each other, two spaces apart. The columns of `right` end
/// at the same place, the others begin there.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]], right: [bool; N]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| width(&row[column])).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or_default());
    let lines = rows.iter().map(|row| {
        let mut line = String::new();
        for ((cell, most), right) in row.iter().zip(widths).zip(right) {
            let gap = " ".repeat(most - self::width(cell));
            let (before, after) = if right {
                (gap, "".into())
            } else {
                ("".into(), gap)
            };
            line += &format!("{before}{cell}{after}  ");
        }
        line.truncate(line.trim_end().len());
        line
    });
    lines.collect()
}

/// Letters, not bytes. Wide ones (CJK) count as one, and push the rest of their line.
fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_line_up_on_their_side() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let rows = [row(["key", "weight", "x"]), row(["user/äö", "10", ""])];
        assert_eq!(
            columns(&rows, [false, true, false]),
            ["key      weight  x", "user/äö      10"]
        );
        assert_eq!(columns::<2>(&[], [false, false]), [""; 0]);
    }
}
