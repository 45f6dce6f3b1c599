"""Student's t distribution, from scipy.special, which is loaded when it is first asked for: it takes .2 s."""


def quantile(freedom: float, share: float) -> float:
    """Where t with so many degrees of freedom lies below with probability `share`.

    Example:
        >>> round(quantile(4, 0.975), 3)
        2.776
    """
    from scipy import special

    return float(special.stdtrit(freedom, share))


def below(freedom: float, t: float) -> float:
    """The probability that it lies below t.

    Example:
        >>> round(below(4, -2.776), 3)
        0.025
    """
    from scipy import special

    return float(special.stdtr(freedom, t))
