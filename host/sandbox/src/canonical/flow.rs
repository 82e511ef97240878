//! Which results can get to where their bits are seen: one function's code, read forwards to know which
//! operator takes what, then backwards from where bits are seen.

use std::collections::BTreeMap;

use wasmparser::{
    BinaryReaderError, FuncToValidate, FuncValidatorAllocations, FunctionBody, Operator, Parser, ValType,
    ValidPayload, Validator, ValidatorResources, WasmFeatures,
};

use super::class::{self, Class, Shape};
use super::foreign::Foreign;
use super::live::Live;
use super::numbers::numbers;

/// What a function needs.
#[derive(Debug, PartialEq, Eq)]
pub struct Checks {
    /// Its parameters and locals.
    pub locals: u32,
    /// After which operators, counted from 0; ascending.
    pub after: Vec<(u32, Shape)>,
}

/// For every function body of the binary, in its order. Validates the binary on the way.
pub fn checks(binary: &[u8]) -> Result<Vec<Checks>, BinaryReaderError> {
    // Whatever else may branch is not known below: exceptions, references to functions, stack switching.
    let features = WasmFeatures::WASM2
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::MULTI_MEMORY
        | WasmFeatures::COMPONENT_MODEL;
    let mut validator = Validator::new_with_features(features);
    let mut allocations = FuncValidatorAllocations::default();
    let mut functions = Vec::new();
    for payload in Parser::new(0).parse_all(binary) {
        if let ValidPayload::Func(function, body) = validator.payload(&payload?)? {
            let (code, used) = Code::read(function, &body, allocations)?;
            allocations = used;
            functions.push(Checks { locals: code.locals, after: code.seen() });
        }
    }
    Ok(functions)
}

/// Where control goes from an operator, and where it comes from.
#[derive(Debug, Clone)]
pub enum Control {
    /// To the next.
    On,
    Block,
    Loop,
    If,
    Else,
    /// Of what the operator at this place began; none for the function.
    End(Option<u32>),
    Branch(u32),
    BranchIf(u32),
    BranchTable(Vec<u32>),
    /// Out of the function.
    Out,
}

/// An operator: what it does with bits, and which operators gave its operands (none where bits are
/// fixed, or no float is).
pub struct Step {
    pub class: Class,
    /// What it gives, where that is a scalar float whose bits are an operand's.
    carried: Option<Shape>,
    pub control: Control,
    pub operands: Box<[Option<u32>]>,
}

struct Code {
    locals: u32,
    /// Of those that are floats and used.
    shapes: Vec<Shape>,
    /// Which of these are parameters.
    parameters: Vec<u32>,
    steps: Vec<Step>,
}

impl Code {
    fn read(
        function: FuncToValidate<ValidatorResources>,
        body: &FunctionBody<'_>,
        allocations: FuncValidatorAllocations,
    ) -> Result<(Code, FuncValidatorAllocations), BinaryReaderError> {
        let mut validator = function.into_validator(allocations);
        let parameters = validator.len_locals();
        validator.read_locals(&mut body.get_binary_reader())?;
        let (mut steps, mut stack, mut open) = (Vec::new(), Vec::new(), Vec::new());
        let (mut numbers, mut shapes) = (BTreeMap::new(), Vec::new());
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let (operator, offset) = operators.read_with_offset()?;
            let arity = operator.operator_arity(&validator);
            validator.op(offset, &operator)?;
            // An operator whose arity is not known takes all. Behind a branch that is always taken there
            // may be fewer operands than it takes: it is never reached.
            let taken = arity.map_or(stack.len(), |(taken, _)| taken as usize);
            let operands = stack.split_off(stack.len().saturating_sub(taken));
            let at = steps.len() as u32;
            let class = class::of(&operator).with_local(|local| {
                let shape = match validator.get_local_type(local)? {
                    ValType::F32 => Shape::F32,
                    ValType::F64 => Shape::F64,
                    _ => return None,
                };
                Some(*numbers.entry(local).or_insert_with(|| {
                    shapes.push(shape);
                    shapes.len() as u32 - 1
                }))
            });
            stack.resize(validator.operand_stack_height() as usize, None);
            if let (true, Some(top)) = (class.gives_float(), stack.last_mut()) {
                *top = Some(at);
            }
            let carried = match (class, validator.get_operand_type(0)) {
                (Class::Carries, Some(Some(ValType::F32))) => Some(Shape::F32),
                (Class::Carries, Some(Some(ValType::F64))) => Some(Shape::F64),
                _ => None,
            };
            let has_floats = operands.iter().any(Option::is_some);
            steps.push(Step {
                class,
                carried,
                control: control(&operator, at, &mut open)?,
                operands: if has_floats { operands.into() } else { Box::default() },
            });
        }
        operators.finish()?;
        let code = Code {
            locals: validator.len_locals(),
            shapes,
            parameters: numbers.range(..parameters).map(|(_, number)| *number).collect(),
            steps,
        };
        Ok((code, validator.into_allocations()))
    }

    /// After what checks belong: operators that compute what is seen, or locals as they are seen.
    fn seen(&self) -> Vec<(u32, Shape)> {
        let foreign = self.foreign();
        let numbers = numbers(&self.steps, self.shapes.len());
        let mut seen = vec![false; self.steps.len()];
        let mut live = Live::new(self.shapes.len() as u32, self.steps.len());
        loop {
            for (at, step) in self.steps.iter().enumerate().rev() {
                live.back(at as u32, &step.control);
                // Of a number nothing is to be seen.
                if let (Some(true), Some(seen)) = (numbers.get(at), seen.get_mut(at)) {
                    *seen = false;
                }
                step.look(at, &foreign, &mut seen, &mut live);
            }
            if live.is_settled() {
                break;
            }
        }
        let is_seen = |at: &usize| seen.get(*at) == Some(&true);
        let check = |at: usize| {
            let step = self.steps.get(at)?;
            let shape = match step.class {
                Class::Computes(shape) => shape,
                Class::LocalGet(local) if foreign.get(at) == Some(&false) => {
                    *self.shapes.get(local as usize)?
                }
                Class::Carries if foreign.get(at) == Some(&false) => step.carried?,
                _ => return None,
            };
            Some((at as u32, shape))
        };
        (0..self.steps.len()).filter(is_seen).filter_map(check).collect()
    }

    /// Of each operator: whether what it gives may be a NaN of the guest's own making.
    fn foreign(&self) -> Vec<bool> {
        let mut results = vec![true; self.steps.len()];
        let mut foreign = Foreign::new(self.shapes.len() as u32, self.steps.len(), &self.parameters);
        loop {
            for (at, step) in self.steps.iter().enumerate() {
                foreign.on(at as u32, &step.control);
                let operand = |place: usize| match step.operands.get(place) {
                    Some(Some(from)) => results.get(*from as usize) != Some(&false),
                    _ => true,
                };
                let is_foreign = match step.class {
                    Class::Computes(_) | Class::Numbers => false,
                    // `select` has two, `abs` one.
                    Class::Carries => operand(0) || (step.operands.len() > 1 && operand(1)),
                    Class::LocalGet(local) => foreign.has(local),
                    Class::LocalSet(local) | Class::LocalTee(local) => {
                        foreign.set(local, operand(0));
                        operand(0)
                    }
                    Class::Signs | Class::Compares | Class::Orders | Class::Sees => true,
                };
                if let Some(result) = results.get_mut(at) {
                    *result = is_foreign;
                }
            }
            if foreign.is_settled() {
                return results;
            }
        }
    }
}

impl Step {
    /// Whether its result is seen is known: so it is for its operands.
    fn look(&self, at: usize, foreign: &[bool], seen: &mut [bool], live: &mut Live) {
        let is_seen = seen.get(at) == Some(&true);
        let (first, others) = match self.class {
            Class::Computes(Shape::F32 | Shape::F64) | Class::Compares | Class::Orders => (false, false),
            Class::Computes(Shape::F32x4 | Shape::F64x2) => {
                if let Some(seen) = seen.get_mut(at) {
                    *seen = true;
                }
                // Lanes of other widths, or of no float.
                (true, true)
            }
            Class::Carries => {
                // Else there is a check here: one for both operands of a `select`, and none between it and
                // its comparison, which are a minimum or maximum together.
                let follow = is_seen && (self.carried.is_none() || foreign.get(at) != Some(&false));
                (follow, follow)
            }
            Class::Signs => (is_seen, true),
            Class::Numbers => (false, false),
            Class::LocalGet(local) => {
                // Else there is a check here.
                if is_seen && foreign.get(at) != Some(&false) {
                    live.add(local);
                }
                (false, false)
            }
            Class::LocalSet(local) => (live.take(local), false),
            Class::LocalTee(local) => (live.take(local) || is_seen, false),
            Class::Sees => (true, true),
        };
        for (place, from) in self.operands.iter().enumerate() {
            let is_seen = if place == 0 { first } else { others };
            if let (true, Some(from)) = (is_seen, from.and_then(|from| seen.get_mut(from as usize))) {
                *from = true;
            }
        }
    }
}

/// `open`: what the operators before have begun.
fn control(operator: &Operator<'_>, at: u32, open: &mut Vec<u32>) -> Result<Control, BinaryReaderError> {
    use Operator as O;
    if let O::Block { .. } | O::Loop { .. } | O::If { .. } = operator {
        open.push(at);
    }
    Ok(match operator {
        O::Block { .. } => Control::Block,
        O::Loop { .. } => Control::Loop,
        O::If { .. } => Control::If,
        O::Else => Control::Else,
        O::End => Control::End(open.pop()),
        O::Br { relative_depth } => Control::Branch(*relative_depth),
        O::BrIf { relative_depth } => Control::BranchIf(*relative_depth),
        O::BrTable { targets } => {
            let all = targets.targets().chain([Ok(targets.default())]);
            Control::BranchTable(all.collect::<Result<_, _>>()?)
        }
        O::Return | O::Unreachable | O::ReturnCall { .. } | O::ReturnCallIndirect { .. } => Control::Out,
        _ => Control::On,
    })
}
