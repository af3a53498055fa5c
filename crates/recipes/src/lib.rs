//! Data, models and training loops, one folder a field.
