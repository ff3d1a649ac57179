"""Math: generated exercises, GSM8K and MATH, judged by value; single-turn or with a Python tool."""
