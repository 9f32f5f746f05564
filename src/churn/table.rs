//! The thresholds by simulation, generated from seed 20260501:
//! `lifetide calibrate --remake > src/churn/table.rs`. Read by `thresholds`.

use super::thresholds::{N_ALARMS, N_RATES, N_SHARES};

/// Thresholds of the orders channel by false alarms, then by rate, in hundredths.
pub(super) const ORDERS: [[u16; N_RATES]; N_ALARMS] = [
    [50, 220, 331, 463, 540, 567, 597, 610, 636, 532],
    [50, 160, 289, 387, 467, 497, 529, 533, 565, 475],
    [50, 124, 225, 294, 367, 392, 432, 440, 471, 411],
    [50, 89, 173, 234, 299, 326, 362, 373, 401, 363],
    [50, 50, 135, 180, 235, 263, 290, 313, 343, 323],
];

/// Thresholds of the basket channel by false alarms, then by rate, in hundredths.
pub(super) const BASKET: [[u16; N_RATES]; N_ALARMS] = [
    [50, 167, 322, 413, 461, 500, 539, 577, 602, 688],
    [50, 145, 274, 354, 406, 442, 479, 513, 542, 628],
    [50, 96, 201, 270, 321, 357, 391, 421, 447, 535],
    [50, 50, 141, 204, 255, 291, 327, 359, 385, 473],
    [50, 50, 75, 143, 195, 227, 266, 290, 320, 405],
];

/// Thresholds of the usage channel by false alarms, then by share of weeks with use, in hundredths.
pub(super) const USAGE: [[u16; N_SHARES]; N_ALARMS] = [
    [307, 639, 703, 632, 488],
    [311, 579, 637, 559, 433],
    [283, 518, 531, 455, 359],
    [263, 447, 453, 372, 298],
    [229, 370, 369, 284, 237],
];
