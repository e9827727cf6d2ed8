//! Whether a user may do something with a record, and by which rule: the questions that a write asks inside its commit, in
//! the same order (SEMANTICS R9).

use std::sync::Arc;

use super::world::World;
use crate::ids::Timestamp;
use crate::rules::{
    BindError, Explanation, Found, KnownFacts, MOST_STEPS, Mask, MissingFact, Principal, Proposal, ReadScope,
    Subject, Truth, explain, judge as judge_rule,
};
use crate::schema::{
    Column, Entity, FieldIndex, FieldKind, Generation, IdKind, Operation, Record, Rule, Schema, Value,
};

/// One question. In a create `record` is the proposed one.
pub struct Question<'a> {
    pub schema: &'a Schema,
    pub entity: &'a Arc<Entity>,
    pub principal: &'a Principal,
    pub operation: Operation,
    pub record: &'a Record,
    /// In an update.
    pub proposal: Option<Proposal<'a>>,
    /// When the write happens.
    pub now: Timestamp,
}

/// The answer.
pub struct RuleVerdict {
    pub reason: Reason,
    /// The rules that were asked, in order.
    pub asked: Vec<JudgedRule>,
}

pub enum Reason {
    /// With the fields that are not shown.
    Granted(Mask),
    Denied,
    /// The record may not even be read, so the answer is that there is none.
    Hidden,
    Disabled,
    /// The entity's file has no rule at all.
    Unruled,
    /// A reference to a record that the writer may not read, or that there is not.
    UnknownReference(FieldIndex),
    /// The rule cannot be used for this person.
    Failed(BindError),
}

/// One rule and its result.
pub struct JudgedRule {
    pub operation: Operation,
    /// As the file has it; `None` where it has none.
    pub rule: Option<Rule>,
    pub part: Explanation,
    /// The condition on a record that remains for this person; of the rule for reading.
    pub bound: Option<String>,
}

impl Reason {
    pub fn grants(&self) -> bool {
        matches!(self, Reason::Granted(_))
    }
}

pub fn judge(question: &Question<'_>, world: &dyn World) -> Result<RuleVerdict, String> {
    let mut asked = Vec::new();
    let reason = reason(question, world, &mut asked)?;
    Ok(RuleVerdict { reason, asked })
}

fn reason(question: &Question<'_>, world: &dyn World, asked: &mut Vec<JudgedRule>) -> Result<Reason, String> {
    let Question { entity, principal, operation, record, .. } = question;
    if principal.is_disabled() {
        return Ok(Reason::Disabled);
    }
    if entity.access.is_unsaid() && !entity.access.open {
        return Ok(Reason::Unruled);
    }
    let mut mask = Mask::default();
    if *operation != Operation::Create {
        let read_scope = match ReadScope::bind(entity, Generation(0), principal) {
            Ok(read_scope) => read_scope,
            Err(error) => return Ok(Reason::Failed(error)),
        };
        let bound = Some(read_scope.rule.text(entity));
        let facts = KnownFacts::at(question.now);
        asked.push(JudgedRule { bound, ..question.ask(Operation::Read, &facts) });
        if !read_scope.sees(record) {
            return Ok(if *operation == Operation::Read { Reason::Denied } else { Reason::Hidden });
        }
        mask = read_scope.mask(record);
    }
    if let Some(field) = question.bad_reference(world)? {
        return Ok(Reason::UnknownReference(field));
    }
    // Without a rule of its own, all that may be read is in lists.
    let is_asked = match operation {
        Operation::Read => false,
        Operation::List => entity.access.list.is_some(),
        Operation::Create | Operation::Update | Operation::Delete | Operation::Lease => true,
    };
    if is_asked {
        let mut facts = KnownFacts::at(question.now);
        let truth = question.truth(*operation, world, &mut facts)?;
        asked.push(question.ask(*operation, &facts));
        match truth {
            Some(truth) if truth.grants() => {}
            Some(_) => return Ok(Reason::Denied),
            None => return Ok(Reason::Failed(BindError::TooManyRows)),
        }
    }
    Ok(Reason::Granted(mask))
}

impl Question<'_> {
    fn subject(&self) -> Subject<'_> {
        Subject { principal: self.principal, record: self.record, proposal: self.proposal }
    }

    /// What the rule for the operation comes to, and what it was told. `None`: it would look at too many records.
    fn truth(
        &self,
        operation: Operation,
        world: &dyn World,
        facts: &mut KnownFacts,
    ) -> Result<Option<Truth>, String> {
        loop {
            match judge_rule(self.entity.access.rule(operation), self.subject(), facts).judged {
                Found::Known(truth) => return Ok(Some(truth)),
                Found::TooManyRows => return Ok(None),
                Found::Lacks(missing) => {
                    for fact in missing {
                        self.learn(fact, world, facts)?;
                    }
                }
            }
        }
    }

    fn learn(&self, fact: MissingFact, world: &dyn World, facts: &mut KnownFacts) -> Result<(), String> {
        match fact {
            MissingFact::Record { entity, id } => {
                facts.learn_record(&entity, &id, world.record(&entity, &id)?);
            }
            MissingFact::Having { entity, column, value } => {
                let found = match (self.schema.entity(&entity), column) {
                    (Some(of), Column::Field(field)) => world.belonging(of, field, &value, MOST_STEPS + 1)?,
                    (_, Column::Id) => world.record(&entity, &value)?.into_iter().collect(),
                    (None, Column::Field(_))
                    | (_, Column::Version | Column::CreatedAt | Column::UpdatedAt) => Vec::new(),
                };
                let found = (found.len() <= MOST_STEPS).then_some(found);
                facts.learn_search(&entity, column, &value, found);
            }
        }
        Ok(())
    }

    fn ask(&self, operation: Operation, facts: &KnownFacts) -> JudgedRule {
        let access = &self.entity.access;
        let part = explain(access.rule(operation), self.schema, self.entity, self.subject(), facts);
        JudgedRule { operation, rule: access.source(operation).cloned(), part, bound: None }
    }

    /// The first reference that the request sets to something that its writer may not read.
    fn bad_reference(&self, world: &dyn World) -> Result<Option<FieldIndex>, String> {
        let (values, named): (&[Value], Vec<FieldIndex>) = match (self.operation, self.proposal) {
            (Operation::Create, _) => {
                (&self.record.values, (0..self.entity.fields.len()).map(FieldIndex).collect())
            }
            (Operation::Update, Some(proposal)) => (proposal.values, proposal.named.to_vec()),
            (
                Operation::Read | Operation::List | Operation::Update | Operation::Delete | Operation::Lease,
                _,
            ) => return Ok(None),
        };
        for at in named {
            let field = self.entity.at(at);
            let (FieldKind::Ref { entity, .. }, Value::Text(id), None) =
                (&field.kind, &values[at.0], field.lookup)
            else {
                continue;
            };
            let Some(target) = self.schema.entity(entity) else { continue };
            let Some(record) = world.record(entity, id)? else { return Ok(Some(at)) };
            if target.id_kind == IdKind::Text && self.principal.person.id.as_deref() == Some(id) {
                // Everybody may refer to themselves.
                continue;
            }
            let seen = ReadScope::bind(target, Generation(0), self.principal)
                .is_ok_and(|read_scope| read_scope.sees(&record));
            if !seen {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }
}
