//! `strategy`: a matrix and its jobs, as GitHub expands it.

use crate::expression::Value;
use crate::problem::Position;
use crate::read::names::Names;
use crate::schema::{STRATEGY_RULE, check_value};
use crate::token::{Content, Token};

/// GitHub's limit of jobs of one matrix.
const MAX_JOBS: usize = 256;
/// The id of a job without a matrix.
const DEFAULT_ID: &str = "__default";
const MAX_ID_LENGTH: usize = 100;

/// How the jobs of a matrix are executed.
#[derive(Clone, PartialEq, Debug)]
pub struct Strategy {
    /// Whether the first failure cancels the others.
    pub fail_fast: bool,
    /// How many jobs may be executed at once.
    pub max_parallel: usize,
    /// `max-parallel` as expressions see it: what the file gives, or the number of jobs.
    shown_limit: f64,
    /// At least one.
    pub combinations: Vec<Combination>,
}

/// One job of a matrix.
#[derive(Clone, PartialEq, Debug)]
pub struct Combination {
    /// Unique among the jobs of the matrix; `__default` without a matrix.
    pub id: String,
    /// The context `matrix`; null without a matrix.
    pub matrix: Value,
    /// The values that GitHub shows behind the job's name. What `include` adds to a combination is not among them.
    pub shown: Vec<String>,
}

impl Combination {
    /// Returns the one job of a strategy without a matrix, or with one that `exclude` leaves empty.
    fn single() -> Self {
        Self { id: DEFAULT_ID.to_owned(), matrix: Value::Null, shown: Vec::new() }
    }
}

impl Strategy {
    /// Returns the context `strategy` of a job.
    #[must_use]
    pub fn context(&self, index: usize) -> Value {
        Value::from([
            ("fail-fast", Value::Bool(self.fail_fast)),
            ("job-index", count(index)),
            ("job-total", count(self.combinations.len())),
            ("max-parallel", Value::Number(self.shown_limit)),
        ])
    }

    /// Expands an evaluated `strategy`.
    ///
    /// # Errors
    ///
    /// Returns what GitHub would refuse.
    pub fn expand(strategy: &Value) -> Result<Self, String> {
        let fail_fast = match strategy.get("fail-fast") {
            None => true,
            Some(Value::Bool(value)) => *value,
            Some(other) => return Err(wrong("fail-fast", other, "true or false")),
        };
        let limit = match strategy.get("max-parallel") {
            None => None,
            Some(Value::Number(number)) => Some(*number),
            Some(other) => return Err(wrong("max-parallel", other, "a number")),
        };
        let mut combinations = strategy.get("matrix").map_or(Ok(Vec::new()), combinations)?;
        // Whole jobs count. Nothing below 1 is a limit, and none is one without a matrix.
        let limit = limit.map(f64::trunc).filter(|limit| *limit >= 1.0 && !combinations.is_empty());
        if combinations.is_empty() {
            combinations = vec![Combination::single()];
        }
        check_value(strategy, &STRATEGY_RULE, "strategy")?;
        let total = combinations.len();
        let fitting = limit.and_then(|limit| (1..=total).rev().find(|count| to_number(*count) <= limit));
        Ok(Self {
            fail_fast,
            max_parallel: fitting.unwrap_or(total),
            shown_limit: limit.unwrap_or(to_number(total)),
            combinations,
        })
    }
}

fn count(value: usize) -> Value {
    Value::Number(to_number(value))
}

fn to_number(value: usize) -> f64 {
    u32::try_from(value).map_or(f64::INFINITY, f64::from)
}

fn wrong(key: &str, value: &Value, expected: &str) -> String {
    format!("`{key}` is {}: {expected} is expected", value.kind())
}

type Row = Vec<(String, Value)>;

fn combinations(matrix: &Value) -> Result<Vec<Combination>, String> {
    let Value::Map(entries) = matrix else { return Err(wrong("matrix", matrix, "a mapping")) };
    let mut axes: Vec<(&String, &Vec<Value>)> = Vec::new();
    for (name, values) in entries.iter().filter(|(name, _)| name != "include" && name != "exclude") {
        let Value::List(values) = values else {
            return Err(wrong(&format!("matrix.{name}"), values, "a list"));
        };
        if values.is_empty() {
            return Err(format!("`matrix.{name}` is an empty list: at least one value is needed"));
        }
        axes.push((name, values));
    }
    let include = rows(matrix, "include")?;
    let exclude = rows(matrix, "exclude")?;
    if axes.is_empty() && include.is_empty() {
        return Err("the matrix is empty: a list of values, or `include`, is needed".to_owned());
    }
    let has_axis = |name: &str| axes.iter().any(|(axis, _)| axis.eq_ignore_ascii_case(name));
    for row in &exclude {
        if let Some((name, _)) = row.iter().find(|(name, _)| !has_axis(name)) {
            return Err(format!("`exclude` names `{name}`, which is not a list of the matrix"));
        }
    }
    let product = product(&axes, &exclude)?;
    let built = included(product, include, has_axis);
    if built.len() > MAX_JOBS {
        return Err(format!("the matrix makes more than {MAX_JOBS} jobs"));
    }
    let mut names = Names::default();
    Ok(built.into_iter().map(|(row, extra)| combination(row, extra, &mut names)).collect())
}

fn combination(row: Row, extra: Row, names: &mut Names) -> Combination {
    let mut matrix = Value::Map(row);
    let shown: Vec<String> =
        matrix.leaves().into_iter().map(Value::text).filter(|text| !text.is_empty()).collect();
    let id = names.make(&shown, false, MAX_ID_LENGTH);
    extra.into_iter().for_each(|(name, value)| matrix.set(&name, value));
    Combination { id, matrix, shown }
}

fn rows(matrix: &Value, key: &str) -> Result<Vec<Row>, String> {
    let list = match matrix.get(key) {
        None => return Ok(Vec::new()),
        Some(Value::List(list)) => list,
        Some(other) => return Err(wrong(&format!("matrix.{key}"), other, "a list")),
    };
    list.iter()
        .map(|row| match row {
            Value::Map(row) if row.is_empty() => Err(format!("a row of `{key}` is empty")),
            Value::Map(row) => Ok(row.clone()),
            other => Err(format!("a row of `{key}` is {}: a mapping is expected", other.kind())),
        })
        .collect()
}

/// Returns all combinations of the axes that no row excludes.
fn product(axes: &[(&String, &Vec<Value>)], exclude: &[Row]) -> Result<Vec<Row>, String> {
    // GitHub counts the jobs after `exclude`. This bound only keeps memory small.
    const MAX_PRODUCT: usize = 100_000;
    let size = axes.iter().try_fold(1_usize, |size, (_, values)| size.checked_mul(values.len()));
    if size.is_none_or(|size| size > MAX_PRODUCT) {
        return Err(format!("the matrix has more than {MAX_PRODUCT} combinations"));
    }
    let mut product: Vec<Row> = if axes.is_empty() { Vec::new() } else { vec![Row::new()] };
    for (name, values) in axes {
        let longer = |row: &Row, value: &Value| {
            let mut row = row.clone();
            row.push(((*name).clone(), value.clone()));
            row
        };
        product = product.iter().flat_map(|row| values.iter().map(move |value| longer(row, value))).collect();
    }
    product.retain(|row| !exclude.iter().any(|excluded| fits(row, excluded)));
    Ok(product)
}

/// Adds each row of `include` to the combinations that it fits, as extra values. A row that fits none is a new one.
fn included(product: Vec<Row>, include: Vec<Row>, has_axis: impl Fn(&str) -> bool) -> Vec<(Row, Row)> {
    let mut built: Vec<(Row, Row)> = product.into_iter().map(|row| (row, Row::new())).collect();
    let mut new = Vec::new();
    for row in include {
        let (filter, extra): (Row, Row) = row.into_iter().partition(|(name, _)| has_axis(name));
        let mut fitted = false;
        for (_, extras) in built.iter_mut().filter(|(combination, _)| fits(combination, &filter)) {
            fitted = true;
            let mut all = Value::Map(std::mem::take(extras));
            extra.iter().for_each(|(name, value)| all.set(name, value.clone()));
            *extras = all.entries().to_vec();
        }
        if !fitted {
            new.push((filter.into_iter().chain(extra).collect(), Row::new()));
        }
    }
    built.extend(new);
    built
}

/// Whether each scalar of `filter` equals the one at the same place of `row`, as `==` compares them.
fn fits(row: &[(String, Value)], filter: &[(String, Value)]) -> bool {
    let value =
        |name: &str| row.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    filter.iter().all(|(name, wanted)| equal_leaves(value(name), wanted))
}

fn equal_leaves(value: Option<&Value>, wanted: &Value) -> bool {
    match wanted {
        Value::Map(entries) => {
            entries.iter().all(|(key, wanted)| equal_leaves(value.and_then(|value| value.get(key)), wanted))
        }
        Value::List(items) => items.iter().enumerate().all(|(at, wanted)| {
            let item = match value {
                Some(Value::List(values)) => values.get(at),
                _ => None,
            };
            equal_leaves(item, wanted)
        }),
        scalar => value.unwrap_or(&Value::Null).equals(scalar),
    }
}

/// Returns what is wrong with a `strategy` as far as it has no expressions.
pub(crate) fn early_faults(strategy: &Token) -> Vec<(Position, String)> {
    // What the tables have refused is empty here.
    let is_refused = |token: &Token| token.entries().iter().any(|(_, value)| value.content == Content::Null);
    if is_refused(strategy) || strategy.get("matrix").is_some_and(is_refused) {
        return Vec::new();
    }
    if !strategy.has_expression() {
        let Ok(value) = strategy.value(&crate::expression::Contexts::default()) else { return Vec::new() };
        let at = strategy.get("matrix").unwrap_or(strategy).at;
        return Strategy::expand(&value).err().map(|text| (at, text)).into_iter().collect();
    }
    let axes = strategy.get("matrix").map(Token::entries).unwrap_or_default();
    let empty = axes.iter().filter(|(name, values)| {
        let is_axis = !matches!(name.text().as_deref(), Some("include" | "exclude") | None);
        is_axis && matches!(&values.content, Content::List(items) if items.is_empty())
    });
    empty
        .map(|(name, values)| {
            let name = name.text().unwrap_or_default();
            (values.at, format!("`matrix.{name}` is an empty list: at least one value is needed"))
        })
        .collect()
}

#[cfg(test)]
mod tests;
