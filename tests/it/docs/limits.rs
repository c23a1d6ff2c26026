//! The page of limits: each number in it is one of the code, which is named beside it in the page's source, with its unit where
//! the code has none.

use std::path::Path;

use penstock::catalog::DYNO_SIZES;
use penstock::docs;

/// A number of a page, or of the code, in bytes or milliseconds where it has a unit.
fn value(text: &str) -> Option<f64> {
    let mut words = text.split_whitespace();
    let mut next = || {
        words
            .next()
            .unwrap_or_default()
            .trim_end_matches([',', ';', '.'])
    };
    let number: f64 = next().replace(',', "").parse().ok()?;
    let factor = match next() {
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "second" | "seconds" => 1.0,
        "minute" | "minutes" => 60.0,
        "hour" | "hours" => 3_600.0,
        "day" | "days" => 86_400.0,
        _ => 1.0,
    };
    Some(number * factor)
}

/// What a constant, a default or a field of these names is in a file of the program.
fn in_code(file: &str, name: &str) -> f64 {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let code = std::fs::read_to_string(path).unwrap();
    let constant = code.split_once(&format!("const {name}: "));
    let found = match constant {
        Some((_, rest)) => rest.split_once('=').unwrap().1.split(';').next(),
        None => values_of_field(&code, name).next(),
    };
    let expression = found.unwrap_or_else(|| panic!("{name} is not in {file}"));
    computed(expression).unwrap_or_else(|| panic!("what is {expression} in {file}?"))
}

/// `name: 12,` and `name = 12,`, where a value stands and no type.
fn values_of_field<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    code.lines().flat_map(move |line| {
        let rest = [": ", " = "].map(|sign| line.split_once(&format!("{name}{sign}")));
        let rest = rest.into_iter().flatten().map(|(_, rest)| rest);
        let ends = rest.map(|rest| {
            rest.split(", ")
                .next()
                .unwrap_or(rest)
                .trim_end_matches(',')
        });
        ends.filter(|value| computed(value).is_some())
    })
}

/// The sums that constants are written as: `2 << 30`, `64 * 1024`, `Duration::from_secs(60 * 60)`.
fn computed(expression: &str) -> Option<f64> {
    let expression = expression.trim();
    let seconds = expression.strip_prefix("Duration::from_secs(");
    let sum = seconds.map_or(Some(expression), |rest| rest.strip_suffix(')'))?;
    let number = |text: &str| text.trim().replace('_', "").parse::<f64>().ok();
    if let Some((number_, shift)) = sum.split_once("<<") {
        return Some(number(number_)? * number(shift)?.exp2());
    }
    sum.split('*').map(number).product()
}

#[test]
fn each_limit_is_the_one_in_the_code() {
    let page = docs::markdown("limits").unwrap();
    let mut compared = 0;
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let (_, limits) = line[2..].split_once(" | ").unwrap();
        let mut rest = limits;
        while let Some((before, after)) = rest.split_once("<!-- ") {
            let (place, after) = after.split_once(" -->").unwrap();
            let (file, name) = place.split_once(' ').unwrap();
            let (name, unit) = name.split_once(' ').unwrap_or((name, ""));
            let digit = |c: char| c.is_ascii_digit();
            let number = before.rsplit("-->").next().unwrap();
            let number = &number[number.find(digit).expect(line)..];
            let numbers = number.match_indices(", ").map(|(at, _)| &number[at + 2..]);
            let said: Vec<f64> = [number]
                .into_iter()
                .chain(numbers)
                .filter_map(value)
                .collect();
            let code = in_code(file, name) * value(&format!("1 {unit}")).unwrap();
            assert!(
                said.contains(&code),
                "{line}\nsays {said:?}, and {name} is {code}"
            );
            compared += 1;
            rest = after;
        }
    }
    assert!(compared > 50, "only {compared} limits were found");
}

#[test]
fn the_sizes_of_dynos_are_those_of_the_catalogue() {
    let page = docs::markdown("limits").unwrap();
    let (_, table) = page.split_once("<!-- sizes -->").unwrap();
    let (table, _) = table.split_once("<!-- end -->").unwrap();
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(2)
        .collect();
    assert_eq!(rows.len(), DYNO_SIZES.len());
    for (row, size) in rows.iter().zip(DYNO_SIZES) {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        assert_eq!(cells[0], size.entry.name);
        assert_eq!(cells[1], size.compute.to_string());
        assert_eq!(
            value(cells[2]),
            Some(size.memory * 1024.0 * 1024.0 * 1024.0)
        );
    }
}
