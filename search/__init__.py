"""Many trials: propose, distribute, record, judge."""
