//! The rows of one key in several tables at a time.

use super::groups::Groups;
use super::keys::Keys;
use crate::error::AnalysisError;
use arrow_array::RecordBatch;

/// What is wanted of one of several tables.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The table, such as `events`.
    pub table: &'a str,
    /// Its columns, the key among them.
    pub wants: &'a [super::Want],
    /// The column that orders the rows of a key.
    pub time: Option<&'a str>,
}

/// The rows of one key in several tables: a batch for each table, in order, the first always there.
pub struct Joined {
    first: Groups,
    others: Vec<Other>,
}

struct Other {
    table: String,
    groups: Groups,
    next: Option<RecordBatch>,
}

impl Joined {
    /// Tables whose keys come in the same order, all of them known to the first.
    pub(super) fn new(first: Groups, others: Vec<(String, Groups)>) -> Result<Self, AnalysisError> {
        let open = |(table, mut groups): (String, Groups)| {
            let next = groups.next().transpose()?;
            Ok(Other { table, groups, next })
        };
        Ok(Self { first, others: others.into_iter().map(open).collect::<Result<_, AnalysisError>>()? })
    }

    fn advance(&mut self) -> Result<Option<Vec<Option<RecordBatch>>>, AnalysisError> {
        let Some(group) = self.first.next().transpose()? else {
            for other in &self.others {
                if let Some(left) = &other.next {
                    let key = Keys::of(left.column(other.groups.key())).show(0);
                    return Err(AnalysisError::input(format!("{}: has rows of {key}, which the table of users lacks", other.table)));
                }
            }
            return Ok(None);
        };
        let key = Keys::of(group.column(self.first.key()));
        let mut row = vec![Some(group.clone())];
        for other in &mut self.others {
            let same = other.next.as_ref().is_some_and(|next| key.same(0, &Keys::of(next.column(other.groups.key())), 0));
            row.push(if same {
                let found = other.next.take();
                other.next = other.groups.next().transpose()?;
                found
            } else {
                None
            });
        }
        Ok(Some(row))
    }
}

impl Iterator for Joined {
    type Item = Result<Vec<Option<RecordBatch>>, AnalysisError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}
