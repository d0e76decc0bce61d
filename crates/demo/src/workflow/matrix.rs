//! A static `strategy.matrix`, expanded as GitHub does it.

use super::node::Node;
use super::{Location, Reader};

/// GitHub's limit of jobs of one matrix.
const MAX_COMBINATIONS: usize = 256;

/// One combination of a matrix: names and values, axes first, in the order of the file.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Combination {
    values: Vec<(String, Node)>,
    /// How many of the values belong to axes. `include` may not change these.
    axes: usize,
}

impl Combination {
    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.values.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.scalar())
    }

    /// Returns the values with their types, for expressions.
    pub(super) fn typed(&self) -> Vec<(String, serde_json::Value)> {
        self.values.iter().map(|(name, value)| (name.clone(), value.json())).collect()
    }

    /// Returns the values as GitHub shows them after a job's name, or `None` without a matrix.
    pub(super) fn suffix(&self) -> Option<String> {
        let values: Vec<String> = self.values.iter().filter_map(|(_, value)| value.scalar()).collect();
        (!values.is_empty()).then(|| format!("({})", values.join(", ")))
    }

    fn set(&mut self, name: &str, value: &Node) {
        match self.values.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.values.push((name.to_owned(), value.clone())),
        }
    }

    fn axis(&self, name: &str) -> Option<&Node> {
        self.values[..self.axes].iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

impl Reader<'_> {
    /// Returns the combinations of a job's `strategy`: a single empty one without a matrix.
    pub(super) fn combinations(&mut self, location: Location<'_>, strategy: &Node) -> Vec<Combination> {
        let Node::Map(entries) = strategy else {
            self.problem(location, "`strategy` is not a mapping");
            return Vec::new();
        };
        let mut combinations = vec![Combination::default()];
        for (key, value) in entries {
            match key.as_str() {
                "matrix" => combinations = self.matrix(location, value),
                "fail-fast" => {}
                other => self.problem(location, format!("the key `strategy.{other}` is not supported")),
            }
        }
        combinations
    }

    fn matrix(&mut self, location: Location<'_>, matrix: &Node) -> Vec<Combination> {
        let Node::Map(entries) = matrix else {
            self.problem(
                location,
                "`strategy.matrix` is not a static mapping: a dynamic matrix is not supported",
            );
            return Vec::new();
        };
        let mut product = vec![Combination::default()];
        let mut axes = 0;
        for (name, values) in entries.iter().filter(|(key, _)| key != "include" && key != "exclude") {
            let Some(values) = self.axis(location, name, values) else { continue };
            axes += 1;
            product = product
                .into_iter()
                .flat_map(|combination| {
                    values.iter().map(move |value| {
                        let mut longer = combination.clone();
                        longer.set(name, value);
                        longer.axes = axes;
                        longer
                    })
                })
                .take(MAX_COMBINATIONS + 1)
                .collect();
        }
        if axes == 0 {
            product.clear();
        }
        for exclude in self.rows(location, "exclude", matrix.get("exclude")) {
            product.retain(|combination| {
                !exclude.iter().all(|(name, value)| combination.value(name) == value.scalar())
            });
        }
        include(&mut product, &self.rows(location, "include", matrix.get("include")));
        if product.len() > MAX_COMBINATIONS {
            self.problem(location, format!("the matrix makes more than {MAX_COMBINATIONS} jobs"));
        } else if product.is_empty() {
            self.problem(location, "the matrix makes no job");
        }
        product
    }

    fn axis(&mut self, location: Location<'_>, name: &str, values: &Node) -> Option<Vec<Node>> {
        let values = match values {
            Node::List(items) if values.scalars().is_some() => Some(items.clone()),
            _ => None,
        };
        match values {
            Some(values) if values.iter().any(is_dynamic) => {
                self.problem(
                    location,
                    format!("`strategy.matrix.{name}` is dynamic, which is not supported"),
                );
                None
            }
            Some(values) => Some(values),
            None => {
                self.problem(location, format!("`strategy.matrix.{name}` is not a list of plain values"));
                None
            }
        }
    }

    fn rows(&mut self, location: Location<'_>, key: &str, rows: Option<&Node>) -> Vec<Vec<(String, Node)>> {
        let plain = |row: &Node| match row {
            Node::Map(entries) => entries
                .iter()
                .map(|(name, value)| {
                    (value.scalar().is_some() && !is_dynamic(value)).then(|| (name.clone(), value.clone()))
                })
                .collect::<Option<Vec<_>>>(),
            _ => None,
        };
        let read = match rows {
            None => Some(Vec::new()),
            Some(Node::List(rows)) => rows.iter().map(plain).collect(),
            Some(_) => None,
        };
        read.unwrap_or_else(|| {
            self.problem(
                location,
                format!("`strategy.matrix.{key}` is not a list of mappings to plain values"),
            );
            Vec::new()
        })
    }
}

fn is_dynamic(value: &Node) -> bool {
    matches!(value, Node::Text(text) if text.contains("${{"))
}

/// Adds each row to every combination whose axes it does not change. A row that
/// fits no combination becomes a new one.
fn include(product: &mut Vec<Combination>, rows: &[Vec<(String, Node)>]) {
    let originals = product.len();
    for row in rows {
        let mut fitted = false;
        for combination in &mut product[..originals] {
            if row.iter().all(|(name, value)| combination.axis(name).is_none_or(|axis| axis == value)) {
                row.iter().for_each(|(name, value)| combination.set(name, value));
                fitted = true;
            }
        }
        if !fitted {
            product.push(Combination { values: row.clone(), axes: 0 });
        }
    }
}
