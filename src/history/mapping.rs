//! Which column of a history holds which field of an event: `--map` text in, column look-ups out.
//! It reads no rows. Called by the commands (`--map`) and by the two row readers.

use thiserror::Error;

/// A field of an event that a history can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `type`
    Type,
    /// `customer_id`
    CustomerId,
    /// `occurred_at`
    OccurredAt,
    /// `event_id`
    EventId,
    /// `order_id`
    OrderId,
    /// `amount`
    Amount,
    /// `currency`
    Currency,
    /// `channel`
    Channel,
    /// `cost`
    Cost,
    /// `quantity`
    Quantity,
}

/// How many fields there are: the length of a row's array of values.
pub(super) const N_FIELDS: usize = Field::ALL.len();

impl Field {
    /// Every field, in the order in which a row holds their values.
    pub const ALL: [Self; 10] = [
        Self::Type,
        Self::CustomerId,
        Self::OccurredAt,
        Self::EventId,
        Self::OrderId,
        Self::Amount,
        Self::Currency,
        Self::Channel,
        Self::Cost,
        Self::Quantity,
    ];

    /// The field's name in an event, and the column that is looked for without a mapping.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::CustomerId => "customer_id",
            Self::OccurredAt => "occurred_at",
            Self::EventId => "event_id",
            Self::OrderId => "order_id",
            Self::Amount => "amount",
            Self::Currency => "currency",
            Self::Channel => "channel",
            Self::Cost => "cost",
            Self::Quantity => "quantity",
        }
    }

    /// The place of the field's value in a row.
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// How many columns of a header an error names.
const LISTED_COLUMNS_MAX: usize = 40;
/// How many characters of each.
const LISTED_CHARS_MAX: usize = 64;

/// What is wrong with a mapping, or with a file under it.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum MappingError {
    /// A part of `--map` is not `field=column`.
    #[error("`--map`: `{0}` is not `field=column`, as in `occurred_at=date`")]
    NotAPair(String),
    /// The left side of a pair is no field.
    #[error("`--map`: `{0}` is no field of an event; the fields are {fields}", fields = names())]
    UnknownField(String),
    /// A field is mapped to two columns.
    #[error("`--map`: `{0}` is mapped twice; keep one column for it")]
    MappedTwice(&'static str),
    /// A mapped column is not in the header.
    #[error(
        "`--map {field}={column}`: the header has no column `{column}`, its columns are {header}; \
         give `{field}` one of them"
    )]
    NoMappedColumn {
        /// The field.
        field: &'static str,
        /// The column that was asked for.
        column: String,
        /// The columns that there are, as text.
        header: String,
    },
    /// A field that every row needs has neither a mapping nor a column of its name.
    #[error(
        "the header has no column `{field}`, its columns are {header}; \
         name the one that holds it with `--map {field}=<column>`"
    )]
    NoColumn {
        /// The field.
        field: &'static str,
        /// The columns that there are, as text.
        header: String,
    },
    /// Two columns of the header have the name that a field is read from.
    #[error("the header has two columns `{0}`; rename one, so that it is clear which is read")]
    TwoColumns(String),
}

/// The columns from which the fields are read: those of `--map`, else the field's own name.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    columns: [Option<Box<str>>; N_FIELDS],
}

impl Mapping {
    /// Reads `field=column` pairs separated by commas; empty text maps nothing.
    ///
    /// # Errors
    /// A part that is not a pair, an unknown field, a field that is mapped twice.
    pub fn parse(text: &str) -> Result<Self, MappingError> {
        let mut mapping = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let not_a_pair = || MappingError::NotAPair(part.to_owned());
            let (name, column) = part.split_once('=').ok_or_else(not_a_pair)?;
            let (name, column) = (name.trim(), column.trim());
            if column.is_empty() {
                return Err(not_a_pair());
            }
            let field = Field::ALL.into_iter().find(|field| field.name() == name);
            let field = field.ok_or_else(|| MappingError::UnknownField(name.to_owned()))?;
            if mapping.columns[field.index()].replace(column.into()).is_some() {
                return Err(MappingError::MappedTwice(field.name()));
            }
        }
        Ok(mapping)
    }

    /// The name of the column or key that holds the field.
    pub(super) fn column(&self, field: Field) -> &str {
        self.columns[field.index()].as_deref().unwrap_or(field.name())
    }

    /// Where in the header each field's column stands.
    ///
    /// # Errors
    /// A mapped column that the header lacks; no column for a field that every row needs (customer,
    /// time, and one of type and amount); two columns of one name.
    pub(super) fn resolve(
        &self,
        header: &[String],
    ) -> Result<[Option<usize>; N_FIELDS], MappingError> {
        let mut places = [None; N_FIELDS];
        for field in Field::ALL {
            let column = self.column(field);
            let mut found = header.iter().enumerate().filter(|(_, name)| *name == column);
            let place = found.next().map(|(place, _)| place);
            if found.next().is_some() {
                return Err(MappingError::TwoColumns(column.to_owned()));
            }
            if place.is_none() && self.columns[field.index()].is_some() {
                return Err(MappingError::NoMappedColumn {
                    field: field.name(),
                    column: column.to_owned(),
                    header: listed(header),
                });
            }
            places[field.index()] = place;
        }
        let has_type = places[Field::Type.index()].is_some();
        let needed = [Field::CustomerId, Field::OccurredAt, Field::Amount];
        for field in needed.into_iter().filter(|field| *field != Field::Amount || !has_type) {
            if places[field.index()].is_none() {
                return Err(MappingError::NoColumn { field: field.name(), header: listed(header) });
            }
        }
        Ok(places)
    }
}

/// The names, each in backticks; of a file that is no table only as much as a person reads.
fn listed(header: &[String]) -> String {
    let mut names: Vec<String> = header
        .iter()
        .take(LISTED_COLUMNS_MAX)
        .map(|name| format!("`{}`", name.chars().take(LISTED_CHARS_MAX).collect::<String>()))
        .collect();
    if header.len() > LISTED_COLUMNS_MAX {
        names.push(format!("and {} more", header.len() - LISTED_COLUMNS_MAX));
    }
    names.join(", ")
}

fn names() -> String {
    listed(&Field::ALL.map(|field| field.name().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(map: &str, header: &str, expect: Result<&str, &str>) {
        let header: Vec<String> = header.split(' ').map(str::to_owned).collect();
        let places = Mapping::parse(map).and_then(|mapping| mapping.resolve(&header));
        match (places, expect) {
            (Ok(places), Ok(expect)) => {
                let found = Field::ALL.into_iter().filter_map(|field| {
                    Some(format!("{}={}", field.name(), places[field.index()]?))
                });
                assert_eq!(found.collect::<Vec<_>>().join(" "), expect, "{map}");
            }
            (Err(error), Err(expect)) => assert_eq!(error.to_string(), expect, "{map}"),
            (places, _) => panic!("`{map}` gave {places:?}, not {expect:?}"),
        }
    }

    #[test]
    fn fields_are_read_from_their_mapped_column_else_from_the_column_of_their_name() {
        let header = "customer_id sample_id date quantity amount";
        let expect = "customer_id=0 occurred_at=2 amount=4 quantity=3";
        check("occurred_at=date", header, Ok(expect));
        check(" occurred_at = date ,", header, Ok(expect));
        check("", "type customer_id occurred_at", Ok("type=0 customer_id=1 occurred_at=2"));
        let both = "customer_id=0 occurred_at=1 event_id=2 order_id=2 amount=3";
        check(
            "event_id=invoice,order_id=invoice",
            "customer_id occurred_at invoice amount",
            Ok(both),
        );
    }

    #[test]
    fn a_mapping_that_does_not_fit_the_header_says_what_to_do() {
        let cases = [
            ("date", "a", "`--map`: `date` is not `field=column`, as in `occurred_at=date`"),
            ("amount=", "a", "`--map`: `amount=` is not `field=column`, as in `occurred_at=date`"),
            ("amount=a,amount=b", "a", "`--map`: `amount` is mapped twice; keep one column for it"),
            (
                "occurred_at=when",
                "customer_id amount",
                "`--map occurred_at=when`: the header has no column `when`, its columns are \
                 `customer_id`, `amount`; give `occurred_at` one of them",
            ),
            (
                "",
                "customer_id date amount",
                "the header has no column `occurred_at`, its columns are `customer_id`, `date`, \
                 `amount`; name the one that holds it with `--map occurred_at=<column>`",
            ),
            (
                "",
                "customer_id occurred_at",
                "the header has no column `amount`, its columns are `customer_id`, \
                 `occurred_at`; name the one that holds it with `--map amount=<column>`",
            ),
            (
                "",
                "customer_id occurred_at amount amount",
                "the header has two columns `amount`; rename one, so that it is clear which is \
                 read",
            ),
        ];
        for (map, header, expect) in cases {
            check(map, header, Err(expect));
        }
        let error = Mapping::parse("when=date").unwrap_err().to_string();
        assert!(
            error.starts_with("`--map`: `when` is no field of an event; the fields are `type`")
        );
    }
}
