"""The parts that algorithms share: rows, losses, advantages, the learner, checkpoints. Knows no algorithm."""
