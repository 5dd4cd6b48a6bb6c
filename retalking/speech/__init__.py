"""What speech says about lips: shapes over time, and where somebody speaks at all."""
