//! What operators do with the bits of a NaN.

use wasmparser::Operator;

/// Of a float, in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    F32,
    F64,
    F32x4,
    F64x2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Gives a float whose NaN is the machine's own, and looks at its operands' value alone.
    Computes(Shape),
    /// Gives no float, or none at all, and does not tell one NaN from another.
    Compares,
    /// The same, and where it holds none of its two operands is a NaN.
    Orders,
    /// What it gives may have the bits of any operand.
    Carries,
    /// What it gives may have the bits of its first operand but for the sign; looks at the bits of its second.
    Signs,
    /// Gives a float that is no NaN.
    Numbers,
    LocalGet(u32),
    LocalSet(u32),
    LocalTee(u32),
    /// Looks at the bits of its operands. What it gives has bits that they (and memory) decide.
    Sees,
}

impl Class {
    /// The same for another number of the local, if it has one; a local that holds no scalar float is
    /// of no interest.
    pub fn with_local(self, number: impl FnOnce(u32) -> Option<u32>) -> Class {
        let (local, class): (u32, fn(u32) -> Class) = match self {
            Class::LocalGet(local) => (local, Class::LocalGet),
            Class::LocalSet(local) => (local, Class::LocalSet),
            Class::LocalTee(local) => (local, Class::LocalTee),
            other => return other,
        };
        number(local).map_or(Class::Compares, class)
    }

    /// Whether what it gives is to be followed.
    pub fn gives_float(self) -> bool {
        !matches!(self, Class::Compares | Class::Orders | Class::LocalSet(_) | Class::Sees)
    }
}

pub fn of(operator: &Operator<'_>) -> Class {
    use Operator as O;
    match operator {
        O::F32Ceil
        | O::F32Floor
        | O::F32Trunc
        | O::F32Nearest
        | O::F32Sqrt
        | O::F32Add
        | O::F32Sub
        | O::F32Mul
        | O::F32Div
        | O::F32Min
        | O::F32Max
        | O::F32DemoteF64 => Class::Computes(Shape::F32),
        O::F64Ceil
        | O::F64Floor
        | O::F64Trunc
        | O::F64Nearest
        | O::F64Sqrt
        | O::F64Add
        | O::F64Sub
        | O::F64Mul
        | O::F64Div
        | O::F64Min
        | O::F64Max
        | O::F64PromoteF32 => Class::Computes(Shape::F64),
        O::F32Eq
        | O::F32Lt
        | O::F32Gt
        | O::F32Le
        | O::F32Ge
        | O::F64Eq
        | O::F64Lt
        | O::F64Gt
        | O::F64Le
        | O::F64Ge => Class::Orders,
        O::F32Ne
        | O::F64Ne
        // These trap, or give 0, whichever NaN it is.
        | O::I32TruncF32S
        | O::I32TruncF32U
        | O::I32TruncF64S
        | O::I32TruncF64U
        | O::I64TruncF32S
        | O::I64TruncF32U
        | O::I64TruncF64S
        | O::I64TruncF64U
        | O::I32TruncSatF32S
        | O::I32TruncSatF32U
        | O::I32TruncSatF64S
        | O::I32TruncSatF64U
        | O::I64TruncSatF32S
        | O::I64TruncSatF32U
        | O::I64TruncSatF64S
        | O::I64TruncSatF64U
        | O::Drop => Class::Compares,
        // `abs` of the canonical NaN is that again.
        O::F32Abs | O::F64Abs | O::Select | O::TypedSelect { .. } => Class::Carries,
        O::F32Neg | O::F64Neg | O::F32Copysign | O::F64Copysign => Class::Signs,
        O::F32Const { value } if !f32::from_bits(value.bits()).is_nan() => Class::Numbers,
        O::F64Const { value } if !f64::from_bits(value.bits()).is_nan() => Class::Numbers,
        O::F32ConvertI32S
        | O::F32ConvertI32U
        | O::F32ConvertI64S
        | O::F32ConvertI64U
        | O::F64ConvertI32S
        | O::F64ConvertI32U
        | O::F64ConvertI64S
        | O::F64ConvertI64U => Class::Numbers,
        O::LocalGet { local_index } => Class::LocalGet(*local_index),
        O::LocalSet { local_index } => Class::LocalSet(*local_index),
        O::LocalTee { local_index } => Class::LocalTee(*local_index),
        other => vector(other),
    }
}

fn vector(operator: &Operator<'_>) -> Class {
    use Operator as O;
    match operator {
        O::F32x4Ceil
        | O::F32x4Floor
        | O::F32x4Trunc
        | O::F32x4Nearest
        | O::F32x4Sqrt
        | O::F32x4Add
        | O::F32x4Sub
        | O::F32x4Mul
        | O::F32x4Div
        | O::F32x4Min
        | O::F32x4Max
        | O::F32x4DemoteF64x2Zero => Class::Computes(Shape::F32x4),
        O::F64x2Ceil
        | O::F64x2Floor
        | O::F64x2Trunc
        | O::F64x2Nearest
        | O::F64x2Sqrt
        | O::F64x2Add
        | O::F64x2Sub
        | O::F64x2Mul
        | O::F64x2Div
        | O::F64x2Min
        | O::F64x2Max
        | O::F64x2PromoteLowF32x4 => Class::Computes(Shape::F64x2),
        _ => Class::Sees,
    }
}
