//! What an evaluation may cost. Only loops can make a short expression expensive: each turn of each loop is
//! counted, and when there were too many the evaluation ends. Counterpart upstream: the runtime cost limit of
//! `k8s.io/apiserver/pkg/cel`.

use std::sync::atomic::{AtomicU64, Ordering};

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::{Context, ExecutionError};

/// Turns of all loops together, in one evaluation.
pub(crate) const TURNS_MAX: u64 = 1_000_000;

/// What is said when they are used up.
pub(crate) const USED_UP: &str = "the expression's loops take too many turns: at most 1000000";

/// The function that counts a turn. No source can name it.
const TURN: &str = "@turn";

/// Gives an evaluation its budget.
pub(crate) fn grant(context: &mut Context<'_, '_>, turns: u64) {
    let left = AtomicU64::new(turns);
    let turn =
        move || match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => Ok(true),
            Err(_) => Err(ExecutionError::function_error(TURN, USED_UP)),
        };
    context.add_function(TURN, turn).expect("no function of the environment has this name");
}

/// Whether an evaluation ended because of its budget.
pub(crate) fn is_used_up(error: &ExecutionError) -> bool {
    matches!(error, ExecutionError::FunctionError { function, .. } if function == TURN)
}

/// The expression with each loop counting its turns.
pub(crate) fn metered(mut whole: IdedExpr) -> IdedExpr {
    meter(&mut whole);
    whole
}

fn meter(ided: &mut IdedExpr) {
    match &mut ided.expr {
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| meter(target));
            call.args.iter_mut().for_each(meter);
        }
        Expr::List(list) => list.elements.iter_mut().for_each(meter),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| meter_entry(&mut entry.expr)),
        Expr::Struct(made) => made.entries.iter_mut().for_each(|entry| meter_entry(&mut entry.expr)),
        Expr::Select(select) => meter(&mut select.operand),
        Expr::Comprehension(looped) => {
            let parts = [&mut looped.iter_range, &mut looped.accu_init, &mut looped.loop_cond];
            parts.into_iter().for_each(meter);
            [&mut looped.loop_step, &mut looped.result].into_iter().for_each(meter);
            count_turns(looped);
        }
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

fn meter_entry(entry: &mut EntryExpr) {
    match entry {
        EntryExpr::StructField(field) => meter(&mut field.value),
        EntryExpr::MapEntry(entry) => {
            meter(&mut entry.key);
            meter(&mut entry.value);
        }
    }
}

/// `map` and `filter` are fast only while their condition is a literal, so they count in their step; the others
/// count in the condition, whose error ends the loop at once and cannot be absorbed by a later turn.
fn count_turns(looped: &mut ComprehensionExpr) {
    if !matches!(looped.loop_cond.expr, Expr::Literal(_)) {
        return if_there_are_turns(&mut looped.loop_cond);
    }
    let Expr::Call(step) = &mut looped.loop_step.expr else {
        return if_there_are_turns(&mut looped.loop_cond);
    };
    let appended = match step.args.as_mut_slice() {
        // `guard ? @result + [value] : @result`
        [guard, ..] if step.func_name == operators::CONDITIONAL => Some(guard),
        // `@result + [value]`
        [_, added] if step.func_name == operators::ADD => match &mut added.expr {
            Expr::List(list) => list.elements.first_mut(),
            _ => None,
        },
        _ => None,
    };
    if_there_are_turns(appended.unwrap_or(&mut looped.loop_cond));
}

/// `@turn() ? EXPR : false`; the last is never reached.
fn if_there_are_turns(ided: &mut IdedExpr) {
    let IdedExpr { id, expr } = std::mem::take(ided);
    let ided_as = |expr: Expr| IdedExpr { id, expr };
    let turn = ided_as(Expr::Call(CallExpr { func_name: TURN.to_owned(), ..CallExpr::default() }));
    let never = ided_as(Expr::Literal(LiteralValue::Boolean(false.into())));
    let func_name = operators::CONDITIONAL.to_owned();
    let call = CallExpr { func_name, target: None, args: vec![turn, ided_as(expr), never] };
    *ided = ided_as(Expr::Call(call));
}
