//! Puts the checks in.

use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent, utils};
use wasm_encoder::{CodeSection, Component, Function, Instruction, Module, ValType};
use wasmparser::{Encoding, FunctionBody, Parser, Payload};

use super::class::Shape;
use super::flow::Checks;

/// `checks`: of all functions of the binary, in its order.
pub fn with_checks(binary: &[u8], checks: Vec<Checks>) -> Result<Vec<u8>, Error> {
    let mut rewrite = Rewrite { checks: checks.into_iter() };
    let first = Parser::new(0).parse_all(binary).next();
    if let Some(Ok(Payload::Version { encoding: Encoding::Module, .. })) = first {
        let mut module = Module::new();
        rewrite.parse_core_module(&mut module, Parser::new(0), binary)?;
        return Ok(module.finish());
    }
    let mut component = Component::new();
    rewrite.parse_component(&mut component, Parser::new(0), binary)?;
    Ok(component.finish())
}

struct Rewrite {
    checks: std::vec::IntoIter<Checks>,
}

impl ReencodeComponent for Rewrite {}

impl Reencode for Rewrite {
    type Error = Infallible;

    fn parse_function_body(&mut self, code: &mut CodeSection, body: FunctionBody<'_>) -> Result<(), Error> {
        // As many bodies as were followed; without, all is as it was, and nothing of it is compiled.
        let Some(checks) = self.checks.next() else {
            return utils::parse_function_body(self, code, body);
        };
        let mut locals = Vec::new();
        for declared in body.get_locals_reader()? {
            let (count, kind) = declared?;
            locals.push((count, self.val_type(kind)?));
        }
        let has_spare = !checks.after.is_empty();
        if has_spare {
            locals.extend(SPARE.map(|kind| (1, kind)));
        }
        let mut function = Function::new(locals);
        let mut operators = body.get_operators_reader()?;
        let mut checked = checks.after.iter().peekable();
        let mut at = 0;
        while !operators.eof() {
            let operator = operators.read()?;
            let instruction = self.instruction(operator)?;
            match instruction {
                Instruction::F32Gt if has_spare => turn(&mut function, checks.locals, 0, Instruction::F32Lt),
                Instruction::F64Gt if has_spare => turn(&mut function, checks.locals, 1, Instruction::F64Lt),
                other => {
                    function.instruction(&other);
                }
            }
            if let Some((_, shape)) = checked.next_if(|(after, _)| *after == at) {
                check(&mut function, *shape, checks.locals);
            }
            at += 1;
        }
        code.function(&function);
        Ok(())
    }
}

/// Locals added to functions that have checks.
const SPARE: [ValType; 5] = [ValType::F32, ValType::F64, ValType::V128, ValType::F32, ValType::F64];

/// The value on the stack, or the canonical NaN if it is one. `spare`: the first of `SPARE`.
fn check(function: &mut Function, shape: Shape, spare: u32) {
    use Instruction as I;
    let (place, canonical, equal, choose) = match shape {
        Shape::F32 => (0, I::F32Const(f32::from_bits(NAN_32).into()), I::F32Ge, I::Select),
        Shape::F64 => (1, I::F64Const(f64::from_bits(NAN_64).into()), I::F64Ge, I::Select),
        Shape::F32x4 => (2, I::V128Const(NAN_32X4), I::F32x4Eq, I::V128Bitselect),
        Shape::F64x2 => (2, I::V128Const(NAN_64X2), I::F64x2Eq, I::V128Bitselect),
    };
    let value = spare + place;
    for instruction in [
        I::LocalTee(value),
        canonical,
        I::LocalGet(value),
        I::LocalGet(value),
        // No NaN is equal to itself; of these, `>=` takes a single jump on x86.
        equal,
        choose,
    ] {
        function.instruction(&instruction);
    }
}

const NAN_32: u32 = 0x7fc0_0000;
const NAN_64: u64 = 0x7ff8_0000_0000_0000;
const NAN_32X4: i128 = 0x7fc0_0000_7fc0_0000_7fc0_0000_7fc0_0000;
const NAN_64X2: i128 = 0x7ff8_0000_0000_0000_7ff8_0000_0000_0000;

/// `a > b` as `b < a`, which is the same, but which cranelift knows together with `select` as the machine's
/// own minimum or maximum; otherwise it jumps, now here and now there.
fn turn(function: &mut Function, spare: u32, place: u32, less: Instruction<'_>) {
    let (a, b) = (spare + place + 3, spare + place);
    for instruction in [
        Instruction::LocalSet(b),
        Instruction::LocalSet(a),
        Instruction::LocalGet(b),
        Instruction::LocalGet(a),
        less,
    ] {
        function.instruction(&instruction);
    }
}
