//! Where one actor's rows end and the next one's begin, in several tables that come in the same order of actors.

use super::{By, Columns};
use crate::error::AnalysisError;
use crate::source::Keys;
use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType};
use arrow_select::concat::concat_batches;
use std::collections::VecDeque;
use std::sync::Arc;

/// Rows with the places at which the key changes.
pub(super) struct Block {
    pub(super) batch: RecordBatch,
    /// The first row of each run of one key; then the number of rows.
    starts: Vec<usize>,
    /// The first run that is not cut off.
    next: usize,
}

impl Block {
    /// Some rows.
    pub(super) fn new(batch: RecordBatch, by: By) -> Self {
        let rows = 0..batch.num_rows();
        let mut starts: Vec<usize> = match by {
            By::Key(key) => {
                let keys = Keys::of(batch.column(key));
                rows.filter(|&row| row == 0 || !keys.same(row - 1, &keys, row)).collect()
            }
            By::Row(_) => rows.collect(),
        };
        starts.push(batch.num_rows());
        Self { batch, starts, next: 0 }
    }

    fn runs(&self) -> usize {
        self.starts.len() - 1
    }
}

/// The rows of one table that are not cut off yet.
struct Queue {
    name: String,
    by: By,
    blocks: VecDeque<Block>,
    ended: bool,
}

/// Where an actor's rows end: a block, and the run before which.
type End = (usize, usize);

impl Queue {
    fn keys(&self, block: usize) -> Keys<'_> {
        match self.by {
            By::Key(key) => Keys::of(self.blocks[block].batch.column(key)),
            By::Row(_) => unreachable!("rows that go along have no key"),
        }
    }

    /// Whether the next actor is that of another table.
    fn same(&self, other: &Self) -> bool {
        let (mine, theirs) = (&self.blocks[0], &other.blocks[0]);
        self.keys(0).same(mine.starts[mine.next], &other.keys(0), theirs.starts[theirs.next])
    }

    /// The first run of a block that is not cut off.
    fn first(&self, block: usize) -> usize {
        if block == 0 { self.blocks[0].next } else { 0 }
    }

    /// Where the first actor's rows end; `None` if more may come.
    fn end(&self) -> Option<End> {
        let mut last = 0;
        loop {
            let block = &self.blocks[last];
            let end = self.first(last) + 1;
            if end < block.runs() {
                return Some((last, end));
            }
            // The last run of a block goes on if the next block begins with its key.
            if last + 1 == self.blocks.len() {
                return self.ended.then_some((last, end));
            }
            if !self.keys(last).same(block.batch.num_rows() - 1, &self.keys(last + 1), 0) {
                return Some((last, end));
            }
            last += 1;
        }
    }

    /// How many rows there are to an end.
    fn rows(&self, (last, end): End) -> usize {
        let of = |(index, block): (usize, &Block)| {
            let to = if index == last { end } else { block.runs() };
            block.starts[to] - block.starts[self.first(index)]
        };
        self.blocks.iter().enumerate().take(last + 1).map(of).sum()
    }

    /// Where so many rows end, each a run of its own.
    fn end_of(&self, mut rows: usize) -> Option<End> {
        for (index, block) in self.blocks.iter().enumerate() {
            let first = self.first(index);
            if first + rows <= block.runs() {
                return Some((index, first + rows));
            }
            rows -= block.runs() - first;
        }
        None
    }

    /// Cuts off the first actor's rows.
    fn take(&mut self, (last, end): End, blocks: &mut Vec<RecordBatch>) -> Span {
        let first = &self.blocks[0];
        // Of the first block, that may have been cut from before.
        if first.next == 0 || blocks.is_empty() {
            blocks.push(first.batch.clone());
        }
        let (block, from) = (blocks.len() - 1, first.starts[first.next]);
        for _ in 0..last {
            self.blocks.pop_front();
            blocks.push(self.blocks[0].batch.clone());
        }
        let here = &mut self.blocks[0];
        here.next = end;
        let to = here.starts[end];
        if here.next == here.runs() {
            self.blocks.pop_front();
        }
        Span { block, from, last: blocks.len() - 1, to }
    }
}

/// Rows from one on to before another, over blocks.
#[derive(Clone, Copy)]
struct Span {
    block: usize,
    from: usize,
    last: usize,
    to: usize,
}

/// Actors whose rows are complete.
pub(super) struct Chunk {
    /// By table.
    blocks: Vec<Vec<RecordBatch>>,
    /// By actor, then table.
    spans: Vec<Option<Span>>,
}

impl Chunk {
    /// How many there are.
    pub(super) fn actors(&self) -> usize {
        self.spans.len() / self.blocks.len()
    }

    /// The rows of one, by table.
    pub(super) fn actor(&self, number: usize, rows: &mut Vec<Option<RecordBatch>>) -> Result<(), AnalysisError> {
        rows.clear();
        let spans = &self.spans[number * self.blocks.len()..][..self.blocks.len()];
        for (blocks, span) in self.blocks.iter().zip(spans) {
            rows.push(span.map(|span| cut(blocks, span)).transpose()?);
        }
        Ok(())
    }
}

fn cut(blocks: &[RecordBatch], span: Span) -> Result<RecordBatch, AnalysisError> {
    if span.block == span.last {
        return Ok(blocks[span.block].slice(span.from, span.to - span.from));
    }
    let piece = |block: usize| {
        let batch = &blocks[block];
        let from = if block == span.block { span.from } else { 0 };
        batch.slice(from, if block == span.last { span.to } else { batch.num_rows() } - from)
    };
    together(&(span.block..=span.last).map(piece).collect::<Vec<_>>())
}

/// Batches as one; what is text in one and codes of a dictionary in another becomes text.
pub(super) fn together(pieces: &[RecordBatch]) -> Result<RecordBatch, AnalysisError> {
    let alike = pieces.windows(2).all(|pair| pair[0].schema() == pair[1].schema());
    if alike {
        return concat_batches(&pieces[0].schema(), pieces).map_err(too_large);
    }
    let plain: Vec<RecordBatch> = pieces.iter().map(plain).collect::<Result<_, _>>()?;
    concat_batches(&plain[0].schema(), &plain).map_err(too_large)
}

/// A batch without dictionaries.
pub(super) fn plain(batch: &RecordBatch) -> Result<RecordBatch, AnalysisError> {
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let is_coded = matches!(column.data_type(), DataType::Dictionary(..));
        let column = if is_coded { arrow_cast::cast(column, &DataType::Utf8).map_err(too_large)? } else { Arc::clone(column) };
        fields.push(field.as_ref().clone().with_data_type(column.data_type().clone()));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(fields)), columns).map_err(too_large)
}

#[expect(clippy::needless_pass_by_value, reason = "it maps errors")]
pub(super) fn too_large(error: ArrowError) -> AnalysisError {
    AnalysisError::input(format!("the rows of one key do not fit into memory: {error}"))
}

/// Cuts tables into actors.
pub(super) struct Cutter {
    queues: Vec<Queue>,
}

impl Cutter {
    pub(super) fn new(names: &[String], columns: &[Columns]) -> Self {
        let queue =
            |(name, columns): (&String, &Columns)| Queue { name: name.clone(), by: columns.by, blocks: VecDeque::new(), ended: false };
        Self { queues: names.iter().zip(columns).map(queue).collect() }
    }

    /// Takes rows of a table, and gives the actors that are complete by then.
    pub(super) fn push(&mut self, table: usize, blocks: Vec<Block>) -> Chunk {
        self.fill(table, blocks);
        self.cut()
    }

    /// Takes rows of a table.
    pub(super) fn fill(&mut self, table: usize, blocks: impl IntoIterator<Item = Block>) {
        if let Some(queue) = self.queues.get_mut(table) {
            queue.blocks.extend(blocks);
        }
    }

    /// No more rows come: gives the actors that are left.
    ///
    /// # Errors
    /// A table has rows of an actor that the first lacks.
    pub(super) fn finish(&mut self) -> Result<Chunk, AnalysisError> {
        self.queues.iter_mut().for_each(|queue| queue.ended = true);
        let chunk = self.cut();
        for queue in &self.queues {
            let Some(block) = queue.blocks.front() else { continue };
            let name = &queue.name;
            return Err(AnalysisError::input(match queue.by {
                By::Key(_) => {
                    let key = queue.keys(0).show(block.starts[block.next]);
                    let short = self.queues.iter().find(|queue| matches!(queue.by, By::Row(_)) && queue.blocks.is_empty());
                    match short {
                        Some(short) => format!("{}: ends before {name} does; the run is damaged", short.name),
                        None => format!("{name}: has rows of {key}, which the table of users lacks"),
                    }
                }
                By::Row(_) => format!("{name}: has more rows than it should; the run is damaged"),
            }));
        }
        Ok(chunk)
    }

    fn cut(&mut self) -> Chunk {
        let mut chunk = Chunk { blocks: vec![Vec::new(); self.queues.len()], spans: Vec::new() };
        let mut ends: Vec<Option<End>> = Vec::new();
        while self.ends(&mut ends) {
            for ((queue, end), blocks) in self.queues.iter_mut().zip(&ends).zip(&mut chunk.blocks) {
                chunk.spans.push(end.map(|end| queue.take(end, blocks)));
            }
        }
        chunk
    }

    /// Where the rows of the next actor end, by table; `false` if it is not complete, or there is none.
    fn ends(&self, ends: &mut Vec<Option<End>>) -> bool {
        ends.clear();
        let first = &self.queues[0];
        for (table, queue) in self.queues.iter().enumerate() {
            let end = match queue.by {
                By::Row(to) => match ends[to].map_or(0, |end| self.queues[to].rows(end)) {
                    0 => None,
                    rows => match queue.end_of(rows) {
                        None => return false,
                        end => end,
                    },
                },
                By::Key(_) if queue.blocks.is_empty() => {
                    if table == 0 || !queue.ended {
                        return false;
                    }
                    None
                }
                By::Key(_) if table == 0 || queue.same(first) => match queue.end() {
                    None => return false,
                    end => end,
                },
                By::Key(_) => None,
            };
            ends.push(end);
        }
        true
    }
}
